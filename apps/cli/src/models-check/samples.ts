import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '@app/config';
import { JsonText, jsonLine } from '@app/protocols';
import { z } from 'zod';
import { CliError } from '../cli-error';
import { jsonLines } from '../instances';
import type { Instance } from '../local-node';

export const SAMPLES_FILE = 'samples.jsonl';
const SAMPLES_MAX = 10_000;
/** Largest absolute difference of a number where the sample names none: rounding on another CPU is below it. */
const TOLERANCE = 1e-4;

const sampleSchema = z.strictObject({
  input: z.unknown(),
  parameters: z.unknown().optional(),
  expected: z.unknown(),
  tolerance: z.number().nonnegative().optional(),
});

/** One line of `samples.jsonl`: an instance of `:predict` and its prediction. */
export interface Sample extends Instance {
  expected: unknown;
  tolerance: number;
  /** What the line says of it, to be written again. */
  written: { parameters?: unknown; tolerance?: number };
  place: string;
}

/** The file of a version itself, or else that of its model; null: neither. */
export function samplesPath(versionFolder: string, folder: string): string | null {
  return [versionFolder, folder].map((parent) => join(parent, SAMPLES_FILE)).find((path) => existsSync(path)) ?? null;
}

/** Throws a `CliError` that names the line at fault. */
export async function readSamples(path: string, config: Config): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const { value, place } of jsonLines(path, config)) {
    const parsed = sampleSchema.safeParse(value);
    if (!parsed.success || parsed.data.input === undefined || parsed.data.expected === undefined)
      throw new CliError(
        `${place}: expected {"input": …, "expected": …}, with "parameters" and "tolerance" as needed${parsed.error ? `: ${parsed.error.issues[0]?.message}` : ''}`,
      );
    if (samples.length === SAMPLES_MAX) throw new CliError(`${place}: expected at most ${SAMPLES_MAX} samples`);
    const { input, parameters, expected, tolerance } = parsed.data;
    const written = { ...(parameters === undefined ? {} : { parameters }), ...(tolerance === undefined ? {} : { tolerance }) };
    samples.push({ input, parameters, expected, tolerance: tolerance ?? TOLERANCE, written, place });
  }
  return samples;
}

/** Replaces the file in one step. */
export function writeSamples(path: string, samples: readonly Pick<Sample, 'input' | 'expected' | 'written'>[]): void {
  const lines = samples.map(({ input, expected, written }) => jsonLine(exact({ input, ...written, expected }) as object));
  const temporary = join(path, '..', `.${SAMPLES_FILE}.${process.pid}`);
  writeFileSync(temporary, lines.map((line) => `${line}\n`).join(''));
  renameSync(temporary, path);
}

/** Integers past 2^53 are written with all their digits. */
function exact(value: unknown): unknown {
  if (typeof value === 'bigint') return new JsonText(String(value));
  if (Array.isArray(value)) return value.map(exact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, exact(inner)]));
}
