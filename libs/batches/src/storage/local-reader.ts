import { open } from 'node:fs/promises';
import type { ByteRange, ObjectStore } from './object-store';
import { READ_BYTES, readBuffers } from './read-buffers';

/**
 * Bytes of a file of this machine, for what reads of a store. A file that is gone meanwhile is read to its end all the same. Parts may
 * be given back to `readBuffers`.
 */
export async function* readLocalFile(path: string, { start, end }: ByteRange): AsyncGenerator<Buffer, void, void> {
  const file = await open(path, 'r');
  try {
    for (let position = start; position < end;) {
      const wanted = Math.min(READ_BYTES, end - position);
      const space = wanted === READ_BYTES ? readBuffers.take() : Buffer.allocUnsafe(wanted);
      const { bytesRead, buffer } = await file.read(space, 0, wanted, position);
      if (bytesRead === 0) throw new Error(`${path}: expected ${end} bytes but it ends at ${position}`);
      position += bytesRead;
      // Or an answer of these bytes would end some time after its last byte.
      if (position === end) await file.close();
      yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close().catch(() => undefined); // it may be closed
  }
}

/** Reads files by their paths. */
export const LOCAL_FILES: Pick<ObjectStore, 'read'> = { read: readLocalFile };
