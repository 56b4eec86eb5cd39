import type { PreparedLimits } from '@app/batches';
import type { BucketLocation } from '@app/config';

/** How batches of this node read tables. */
export interface TableSettings {
  /** What node runs as a child. */
  childArgs: readonly string[];
  /** A folder of this process alone. */
  scratchDir: string;
  /** Folders and buckets that batches may name. */
  inputRoots: readonly string[];
  inputBuckets: readonly string[];
  bucketEndpoint: BucketLocation['endpoint'];
  limits: PreparedLimits;
}
