import { randomBytes } from 'node:crypto';
import { isExpired, KEYS_MAX, type KeyGrant, type KeyRecord } from './key-record';
import { changeKeys, KeyFileError } from './key-file';
import { digestOf, newSecret, shownPrefix } from './secret';

const ID_CHARACTERS = 12;
const WEIGHT_DEFAULT = 1;

/** What a key has of its own, and what of the tenant it may leave as it is. */
export type NewKey = Omit<KeyGrant, 'shareMsPerSecond' | 'weight'> & Partial<Pick<KeyGrant, 'shareMsPerSecond' | 'weight'>>;

/**
 * Makes a key and keeps its hash. The secret is nowhere else: show it once. A share or weight that is given holds for all
 * `keys` of the tenant from now on; else the new one takes those. Throws a `KeyFileError`.
 */
export async function addKey(path: string, grant: NewKey): Promise<{ secret: string; record: KeyRecord; keys: number }> {
  const secret = newSecret();
  const own = {
    id: `key_${randomBytes(ID_CHARACTERS / 2).toString('hex')}`,
    prefix: shownPrefix(secret),
    sha256: digestOf(secret),
    createdAt: Math.floor(Date.now() / 1000),
    ...grant,
  };
  let record: KeyRecord = { shareMsPerSecond: null, weight: WEIGHT_DEFAULT, ...own };
  let keysOfTenant = 1;
  await changeKeys(path, (keys) => {
    // Keys that nobody can use any more make room.
    const kept = keys.length < KEYS_MAX ? keys : keys.filter((key) => !isExpired(key));
    if (kept.length >= KEYS_MAX) throw new KeyFileError(`${path} has ${KEYS_MAX} keys, the most there may be; revoke one first`);
    const others = kept.filter(({ tenant }) => tenant === grant.tenant);
    const { shareMsPerSecond, weight } = others[0] ?? record;
    record = { shareMsPerSecond, weight, ...own };
    keysOfTenant = others.length + 1;
    return [...kept, record];
  });
  return { secret, record, keys: keysOfTenant };
}

/** Null: there is no such key. Throws a `KeyFileError`. */
export async function removeKey(path: string, id: string): Promise<KeyRecord | null> {
  let removed: KeyRecord | null = null;
  await changeKeys(path, (keys) => {
    removed = keys.find((key) => key.id === id) ?? null;
    return keys.filter((key) => key.id !== id);
  });
  return removed;
}
