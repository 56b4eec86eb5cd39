import type { SourceSettings } from '@app/config';
import { openFolder } from './file-source';
import { openHub } from './hub-source';
import type { SourceLimits } from './limits';
import type { FetchProgress, ModelSource } from './model-source';
import { openImage } from './oci/image-source';
import { withRetries } from './retry';
import type { ModelUri } from './uri';

interface SourceContext {
  settings: SourceSettings;
  limits: SourceLimits;
  progress: FetchProgress;
  /** For sources that must be fetched before they can be listed; need not be there. */
  scratch: string;
}

/** Resolves what a URI stands for now, and lists it. Rejects with a `SourceError`. */
export async function openSource(uri: ModelUri, { settings, limits, progress, scratch }: SourceContext): Promise<ModelSource> {
  switch (uri.kind) {
    case 'file':
      return openFolder(uri.folder, limits.filesMax);
    case 's3': {
      // The AWS SDK takes a tenth of a second to load, which other commands need not wait for.
      const { openBucket } = await import('./s3-source');
      return withRetries(limits.retryMs, () => openBucket(uri, settings.bucketEndpoint, limits));
    }
    case 'hf':
      return openHub(uri, settings.hub, limits);
    case 'oci':
      return openImage(uri, { authFile: settings.registryAuthFile, scratch, limits, progress });
  }
}
