import { statfs } from 'node:fs/promises';
import { byteText } from '@app/contracts';
import { SourceError } from './source-error';

/** Rejects with a `SourceError` when the disk of `folder` has less than `bytes` beside what is kept free. */
export async function checkRoom(folder: string, bytes: number, freeBytesMin: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free - bytes >= freeBytesMin) return;
  throw new SourceError(
    `the disk of ${folder} has ${byteText(free, 'down')} free, but ${byteText(bytes, 'up')} are needed ` +
      `and ${byteText(freeBytesMin)} kept free; make room there`,
  );
}
