import { randomBytes } from 'node:crypto';
import { isExpired, KEYS_MAX, type KeyGrant, type KeyRecord } from './key-record';
import { changeKeys, KeyFileError } from './key-file';
import { digestOf, newSecret, shownPrefix } from './secret';

const ID_CHARACTERS = 12;

/** Makes a key and keeps its hash. The secret is nowhere else: show it once. Throws a `KeyFileError`. */
export async function addKey(path: string, grant: KeyGrant): Promise<{ secret: string; record: KeyRecord }> {
  const secret = newSecret();
  const record: KeyRecord = {
    id: `key_${randomBytes(ID_CHARACTERS / 2).toString('hex')}`,
    prefix: shownPrefix(secret),
    sha256: digestOf(secret),
    createdAt: Math.floor(Date.now() / 1000),
    ...grant,
  };
  await changeKeys(path, (keys) => {
    // Keys that nobody can use any more make room.
    const kept = keys.length < KEYS_MAX ? keys : keys.filter((key) => !isExpired(key));
    if (kept.length >= KEYS_MAX) throw new KeyFileError(`${path} has ${KEYS_MAX} keys, the most there may be; revoke one first`);
    return [...kept, record];
  });
  return { secret, record };
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
