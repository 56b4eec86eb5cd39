import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Placement } from '@app/contracts';

const FORMAT_VERSION: Placement['formatVersion'] = 1;

/** A placement file that this version of the product cannot use; the message says why and what to do. */
export class PlacementError extends Error {
  override readonly name = 'PlacementError';
}

/** The placement at `path`; null where there is no such file. Throws a PlacementError for one that cannot be used. */
export function readPlacement(path: string): Placement | null {
  const text = readText(path);
  return text === null ? null : parsePlacement(text);
}

/** Replaces the placement at `path` in one step: a reader sees the old one or the new one, never a part. */
export function writePlacement(path: string, placement: Placement): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(file, JSON.stringify(placement, null, 2)); // all of it, or it throws
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** Null where the file cannot be read, for whatever reason of the system. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) return null;
    throw error;
  }
}

/** Throws a PlacementError, whose message callers of the API may see. */
export function parsePlacement(text: string): Placement {
  const content = parseJson(text);
  const { formatVersion, partitions, workers } = (content ?? {}) as Partial<Record<keyof Placement, unknown>>;
  if (formatVersion !== FORMAT_VERSION) {
    throw new PlacementError(
      `expected formatVersion ${FORMAT_VERSION} in placement.json but received ${JSON.stringify(formatVersion) ?? 'none'}; ` +
        'start the scheduler of this version of Interleave, which writes the file anew',
    );
  }
  if (!Array.isArray(workers) || !Array.isArray(partitions))
    throw new PlacementError(
      'expected lists of partitions and workers in placement.json; start the scheduler again, which writes the file anew',
    );
  return content as Placement;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlacementError(`expected JSON in placement.json: ${error.message}; start the scheduler again, which writes the file anew`);
  }
}
