import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bucketObjectOf } from '@app/batches';
import { InterleaveError } from '@app/contracts';

/** `batch.inputRoots` and `batch.inputBuckets`. */
export interface InputPlaces {
  roots: readonly string[];
  buckets: readonly string[];
}

/** Throws `invalid_request` for a URI that no batch may read. The runner that reads it checks it again, by the links of its own disk. */
export async function checkUri(uri: string, { roots, buckets }: InputPlaces): Promise<void> {
  const object = bucketObjectOf(uri);
  const isAllowed = object === null ? await isBelow(uri, roots) : buckets.includes(object.bucket);
  if (isAllowed) return;
  const places = object === null ? 'a file below a folder of batch.inputRoots' : 'an object of a bucket of batch.inputBuckets';
  throw new InterleaveError('invalid_request', `input.uri: expected ${places} but received ${JSON.stringify(uri.slice(0, 200))}`, {
    param: 'input.uri',
  });
}

/** False for a file that is not there as well: who may not see a folder is not told what is in it. */
async function isBelow(uri: string, roots: readonly string[]): Promise<boolean> {
  try {
    const path = await realpath(fileURLToPath(uri));
    const folders = await Promise.all(roots.map((root) => realpath(root).catch(() => null)));
    return folders.some((folder) => folder !== null && path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`));
  } catch {
    return false;
  }
}
