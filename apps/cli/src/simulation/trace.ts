import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { SimulatedItem } from '@app/native';
import { CliError } from '../cli-error';

const LINES_MAX = 4_000_000;
const NS_PER_MS = 1e6;

const length = z.number().int().min(0).max(1_048_576);
const lineSchema = z
  .object({
    arrivalMs: z.number().nonnegative(),
    /** Tokens of each row. */
    length: length.optional(),
    /** Instead of `length`, for models with two sequence axes. */
    lengths: z.tuple([length, length]).optional(),
    rows: z.number().int().positive().default(1),
    timeoutMs: z.number().positive().optional(),
    priority: z.number().int().min(0).max(255).default(0),
    model: z.string().default('model'),
  })
  .strict();

export interface Trace {
  items: SimulatedItem[];
  modelsCount: number;
}

/** Reads a trace, one request a line, in any order. Throws a CliError that names the line at fault. */
export async function readTrace(path: string): Promise<Trace> {
  const items: SimulatedItem[] = [];
  const models = new Map<string, number>();
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity })) {
      number++;
      if (number > LINES_MAX) throw new CliError(`${path}: more than ${LINES_MAX} lines; cut the trace`);
      if (line.trim() !== '') items.push(itemOf(parseLine(line, `${path}:${number}`), models));
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`);
  }
  if (items.length === 0) throw new CliError(`${path} is empty; expected lines like {"arrivalMs":0,"length":40}`);
  items.sort((a, b) => a.arrivalNs - b.arrivalNs);
  return { items, modelsCount: models.size };
}

function parseLine(line: string, place: string): z.infer<typeof lineSchema> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new CliError(`${place}: not JSON: ${(error as Error).message}`);
  }
  const parsed = lineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CliError(
    `${place}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'not a request'}; expected a line like {"arrivalMs":0,"length":40,"timeoutMs":500}`,
  );
}

function itemOf(line: z.infer<typeof lineSchema>, models: Map<string, number>): SimulatedItem {
  const model = models.get(line.model) ?? models.size;
  models.set(line.model, model);
  return {
    arrivalNs: Math.round(line.arrivalMs * NS_PER_MS),
    model,
    priority: line.priority,
    rows: line.rows,
    lengths: line.lengths ?? [line.length ?? 0, 0],
    timeoutNs: Math.round((line.timeoutMs ?? 0) * NS_PER_MS),
  };
}
