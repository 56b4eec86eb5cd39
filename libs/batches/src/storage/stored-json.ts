import type { ObjectStore } from './object-store';

/** There is something, but it is no record that this release can read. */
export class RecordUnreadable extends Error {
  override readonly name = 'RecordUnreadable';
}

/**
 * A record of ours; null: there is none. Rejects with `RecordUnreadable` for one that another version of Interleave wrote in a format that this one does
 * not know: to guess at it could answer with the wrong rows, or the wrong tenant's.
 */
export async function readStored<T extends { formatVersion: number }>(
  store: ObjectStore,
  key: string,
  formatVersions: readonly T['formatVersion'][],
): Promise<{ record: T; version: string } | null> {
  const stored = await store.get(key);
  if (stored === null) return null;
  const record = parseRecord<T>(stored.bytes);
  const formatVersion = record?.formatVersion;
  if (record !== null && formatVersion !== undefined && formatVersions.includes(formatVersion)) return { record, version: stored.version };
  throw new RecordUnreadable(
    `${key}: expected formatVersion ${formatVersions.join(' or ')} but received ${JSON.stringify(formatVersion) ?? 'none'}; ` +
      'use the version of Interleave that wrote it, or move its folder out of the store (by default DATA_DIR)',
  );
}

/** Null: no JSON. */
function parseRecord<T>(bytes: Buffer): T | null {
  try {
    return JSON.parse(bytes.toString('utf8')) as T | null;
  } catch {
    return null;
  }
}

export function storedJson(record: object): Buffer {
  return Buffer.from(JSON.stringify(record));
}
