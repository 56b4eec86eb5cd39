import type { StorageLocation } from '@app/config';
import { openStore } from '../open-store';

/** A process that writes an object, says so after each part, and is killed: `write-until-killed.ts <storage as JSON> <key>`. */
async function main(): Promise<void> {
  const [, , storage = '', key = ''] = process.argv;
  const store = await openStore({
    storage: JSON.parse(storage) as StorageLocation,
    freeBytesMin: 0,
    onAway: (error) => console.error(error.message),
  });
  const writer = await store.openWriter(key);
  for (;;) {
    await writer.append(Buffer.alloc(1024 * 1024, 'x'));
    process.send?.('part');
  }
}

void main();
