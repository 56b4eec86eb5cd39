import type { ObjectStore } from './object-store';

/**
 * A record of ours; null: there is none. Rejects for one that another version of Interleave wrote in a format that this one does
 * not know: to guess at it could answer with the wrong rows, or the wrong tenant's.
 */
export async function readStored<T extends { formatVersion: number }>(
  store: ObjectStore,
  key: string,
  formatVersions: readonly T['formatVersion'][],
): Promise<{ record: T; version: string } | null> {
  const stored = await store.get(key);
  if (stored === null) return null;
  const record = JSON.parse(stored.bytes.toString('utf8')) as T;
  if (formatVersions.includes(record.formatVersion)) return { record, version: stored.version };
  throw new Error(
    `${key}: expected formatVersion ${formatVersions.join(' or ')} but received ${JSON.stringify(record.formatVersion) ?? 'none'}; ` +
      'use the version of Interleave that wrote it, or move its folder out of the store (by default DATA_DIR)',
  );
}

export function storedJson(record: object): Buffer {
  return Buffer.from(JSON.stringify(record));
}
