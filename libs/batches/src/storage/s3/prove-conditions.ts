import { randomBytes } from 'node:crypto';
import type { ObjectStore } from '../object-store';

/** The store lacks something without which several nodes would overwrite each other's work. */
export class StoreUnfit extends Error {
  override readonly name = 'StoreUnfit';
}

const ONE = Buffer.from('1');
const TWO = Buffer.from('2');

/** `store`: with parts of one byte. Tries on an object of its own whether a store honours the conditions that this program relies on. Throws `StoreUnfit`. */
export async function proveConditions(store: ObjectStore): Promise<void> {
  const key = `trial-${randomBytes(9).toString('hex')}`;
  const unfit = (what: string): StoreUnfit =>
    new StoreUnfit(
      `STORAGE_URL ${store.address}: the store ${what}. Interleave needs conditional writes (If-None-Match: * and If-Match, also when a multipart ` +
        'upload is completed), as AWS S3 and versitygw have; use such a store, or a directory of one node',
    );
  try {
    if (!(await store.putIfAbsent(key, ONE))) throw unfit('refuses If-None-Match: * for an object that is not there');
    if (await store.putIfAbsent(key, TWO)) throw unfit('ignores If-None-Match: * and has replaced an object');
    const version = (await store.get(key))?.version;
    if (version === undefined) throw unfit('does not show what was just written');
    const next = await store.putIfUnchanged(key, TWO, version);
    if (next === null) throw unfit('refuses If-Match with the current ETag');
    if ((await store.putIfUnchanged(key, ONE, version)) !== null) throw unfit('ignores If-Match and has replaced an object');
    if (await completesOverExisting(store, key)) throw unfit('ignores If-None-Match: * when a multipart upload is completed');
  } finally {
    await store.delete(key).catch(() => undefined);
  }
}

async function completesOverExisting(store: ObjectStore, key: string): Promise<boolean> {
  const writer = await store.openWriter(key);
  try {
    await writer.append(ONE);
    return await writer.commitIfAbsent();
  } finally {
    await writer.discard();
  }
}
