import type { FileHandle } from 'node:fs/promises';

/** One call of `write` may take a part only. */
export async function writeAll(output: FileHandle, part: Uint8Array): Promise<void> {
  for (let written = 0; written < part.length;) written += (await output.write(part, written)).bytesWritten;
}
