import { readFile } from 'node:fs/promises';
import { orNullIfMissing } from './durable';

/**
 * A record of ours; null: there is none. Rejects for one that another version of Interleave wrote in a format that this one does
 * not know: to guess at it could answer with the wrong rows, or the wrong tenant's.
 */
export async function readStored<T extends { formatVersion: number }>(path: string, formatVersion: T['formatVersion']): Promise<T | null> {
  const text = await orNullIfMissing(readFile(path, 'utf8'));
  if (text === null) return null;
  const record = JSON.parse(text) as T;
  if (record.formatVersion === formatVersion) return record;
  throw new Error(
    `${path}: expected formatVersion ${formatVersion} but received ${JSON.stringify(record.formatVersion) ?? 'none'}; ` +
      'use the version of Interleave that wrote it, or move its folder out of DATA_DIR',
  );
}
