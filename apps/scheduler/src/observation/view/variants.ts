import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelView } from '@app/contracts';

const FILE = 'variants.json';
const KNOWN_MAX = 1_024;

interface Record {
  madeFrom?: string;
  choice?: { kind?: string };
  variants?: { kind?: string; measured?: { speedup?: number | null } | null }[];
}

/** A version's folder does not change under its number, so its record is read once. */
const known = new Map<string, ModelView['variant']>();

/** What `interleave optimize` says of a version that it made; null: it did not. */
export function variantOf(modelsDir: string, name: string, version: string): ModelView['variant'] {
  const path = join(modelsDir, name, version, FILE);
  const before = known.get(path);
  if (before !== undefined) return before;
  const read = readVariant(path);
  if (known.size < KNOWN_MAX) known.set(path, read);
  return read;
}

function readVariant(path: string): ModelView['variant'] {
  try {
    const { madeFrom, choice, variants } = JSON.parse(readFileSync(path, 'utf8')) as Record;
    if (typeof choice?.kind !== 'string' || typeof madeFrom !== 'string') return null;
    const speedup = variants?.find(({ kind }) => kind === choice.kind)?.measured?.speedup;
    return { kind: choice.kind, madeFrom, speedup: typeof speedup === 'number' ? speedup : null };
  } catch {
    return null;
  }
}
