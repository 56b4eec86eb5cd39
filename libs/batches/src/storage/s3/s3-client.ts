import type { S3Client } from '@aws-sdk/client-s3';
import type { BucketLocation } from '@app/config';

const CONNECT_MS_MAX = 3_000;
/** Without a byte in either direction. */
const SILENT_MS_MAX = 20_000;
const ATTEMPTS_MAX = 3;
const SOCKETS = { maxSockets: 64, keepAlive: true };

/**
 * Credentials come by the ways that the AWS SDK knows: its environment, its files, the machine's role. The SDK is loaded only now: it
 * takes a tenth of a second of each process that starts, most of which never need it.
 */
export async function openS3Client({ endpoint }: Pick<BucketLocation, 'endpoint'>): Promise<S3Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  return new S3Client({
    ...(endpoint === null ? {} : { endpoint: endpoint.url, region: endpoint.region, forcePathStyle: true }),
    // Others than AWS do not know the checksums that the SDK would add.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: ATTEMPTS_MAX,
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      requestTimeout: SILENT_MS_MAX,
      throwOnRequestTimeout: true,
      httpAgent: SOCKETS,
      httpsAgent: SOCKETS,
    },
  });
}
