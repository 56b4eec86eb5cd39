import { fileURLToPath } from 'node:url';
import { ConfigError } from './config-error';

export interface BucketLocation {
  kind: 'bucket';
  bucket: string;
  /** Empty, or ends with `/`. */
  prefix: string;
  /** Of a store that is not of AWS, with its region; null: the AWS SDK knows where to go. */
  endpoint: { url: string; region: string } | null;
}

/** Where files, manifests and results of the batch lane are. */
export type StorageLocation = { kind: 'directory'; path: string } | BucketLocation;

interface StorageEnvironment extends BucketEnvironment {
  STORAGE_URL?: string | undefined;
}

/** What the AWS SDK reads as well. */
interface BucketEnvironment {
  AWS_ENDPOINT_URL_S3?: string | undefined;
  AWS_ENDPOINT_URL?: string | undefined;
  AWS_REGION?: string | undefined;
  AWS_DEFAULT_REGION?: string | undefined;
}

/** Stores that are not of AWS have no regions, but a signature needs one. */
const REGION_DEFAULT = 'us-east-1';
const BUCKET_URL = /^s3:\/\/([^/]+)\/?(.*?)\/?$/;

export function storageLocation(env: StorageEnvironment, dataDir: string): StorageLocation {
  if (env.STORAGE_URL === undefined) return { kind: 'directory', path: dataDir };
  if (env.STORAGE_URL.startsWith('file:')) return { kind: 'directory', path: fileURLToPath(env.STORAGE_URL) };
  const [, bucket = '', path = ''] = BUCKET_URL.exec(env.STORAGE_URL) ?? [];
  if (path.split('/').some((name) => /^\.*$/.test(name) && path !== ''))
    throw new ConfigError(`environment: STORAGE_URL: expected s3://bucket/prefix but received the prefix ${path}`);
  return { kind: 'bucket', bucket, prefix: path === '' ? '' : `${path}/`, endpoint: bucketEndpoint(env) };
}

/** Of a store that is not of AWS; null: the AWS SDK knows where to go. */
export function bucketEndpoint(env: BucketEnvironment): BucketLocation['endpoint'] {
  const url = env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL;
  const region = env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? REGION_DEFAULT;
  return url === undefined ? null : { url, region };
}
