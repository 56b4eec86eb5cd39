import { GetObjectCommand, S3ServiceException } from '@aws-sdk/client-s3';
import { bucketObjectOf, openS3Client } from '@app/batches';
import type { TableSettings } from '../../tables/table-settings';
import { PrepareFault } from './source';

/** Answers that stay as they are until somebody changes the bucket or who may read it. */
const FINAL = [400, 401, 403, 404, 405];

/** The bytes of `s3://bucket/key`. Throws `PrepareFault` when it is not there or may not be read; what else fails may pass. */
export async function* readBucketObject(
  { inputBuckets, bucketEndpoint }: Pick<TableSettings, 'inputBuckets' | 'bucketEndpoint'>,
  uri: string,
): AsyncGenerator<Uint8Array, void, void> {
  const object = bucketObjectOf(uri);
  if (object === null || !inputBuckets.includes(object.bucket)) throw fault(`${uri} is not in a bucket of batch.inputBuckets.`);
  const client = await openS3Client({ endpoint: bucketEndpoint });
  try {
    const { Body: body } = await client.send(new GetObjectCommand({ Bucket: object.bucket, Key: object.key }));
    yield* body as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    const status = error.$metadata.httpStatusCode ?? 0;
    throw FINAL.includes(status) ? fault(`${uri} cannot be read: ${error.name} (status ${status}).`) : error;
  } finally {
    client.destroy();
  }
}

function fault(message: string): PrepareFault {
  return new PrepareFault([{ code: 'file_not_found', message, param: 'input.uri', line: null }]);
}
