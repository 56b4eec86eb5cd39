import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { NewEvent } from './events/new-event';

/** Tells values apart and says nothing of them: a value cannot be found by trying. */
const MARK_CHARS = 6;
const NAMED_MAX = 10;

/** What differs from the settings of the start before; writes those of this one. A file that cannot be read or written says nothing. */
export function settingsChanges(path: string, settings: object): NewEvent[] {
  const marks = marksOf(settings);
  const before = readMarks(path);
  write(path, marks);
  if (before === null) return [];
  const names = [...new Set([...Object.keys(before), ...Object.keys(marks)])].filter((name) => before[name] !== marks[name]).sort();
  if (names.length === 0) return [];
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : '';
  return [
    {
      kind: 'settings',
      level: 'ok',
      text: `Settings changed since the last start: ${names.slice(0, NAMED_MAX).join(', ')}${more}.`,
      meaning: 'They hold since this start.',
      advice: 'If something is different since then, look at them first.',
      subject: null,
    },
  ];
}

type Marks = Record<string, string>;

/** By name, as in `batch.floorShare`; lists as a whole. */
function marksOf(settings: object, prefix = ''): Marks {
  const marks: Marks = {};
  for (const [key, value] of Object.entries(settings) as [string, unknown][]) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) Object.assign(marks, marksOf(value, `${prefix}${key}.`));
    else
      marks[`${prefix}${key}`] = createHash('sha256')
        .update(JSON.stringify(value) ?? '')
        .digest('hex')
        .slice(0, MARK_CHARS);
  }
  return marks;
}

function readMarks(path: string): Marks | null {
  try {
    const marks: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof marks === 'object' && marks !== null ? (marks as Marks) : null;
  } catch {
    return null;
  }
}

function write(path: string, marks: Marks): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, JSON.stringify(marks), { mode: 0o600 });
  } catch {
    // The next start has nothing to compare with.
  }
}
