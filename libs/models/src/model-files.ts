import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { standIn } from './other-file';

/** Raised for a file of a model that cannot be used; the message names it. */
export class ModelFileError extends Error {
  override readonly name = 'ModelFileError';
}

const JSON_BYTES_MAX = 8 * 1024 * 1024;

/** Path of `name` in the first folder that has it, or null. */
export function findFile(folders: string[], name: string): string | null {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** The whole file; throws a `ModelFileError` for one that is larger or that cannot be read. */
export function readBounded(path: string, bytesMax: number): Buffer {
  let file: number | null = null;
  try {
    file = openSync(path, 'r');
    const { size } = fstatSync(file);
    if (size > bytesMax) throw new Error(`expected at most ${bytesMax} bytes but it has ${size}`);
    return readFileSync(file);
  } catch (error) {
    throw new ModelFileError(`${path}: ${(error as Error).message}`);
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** Reads a JSON file of the model of at most 8 MiB; throws a `ModelFileError`. */
export function readJson(path: string): unknown {
  const content = readBounded(path, JSON_BYTES_MAX).toString('utf8');
  try {
    return JSON.parse(content) as unknown;
  } catch (error) {
    throw unusable(path, error);
  }
}

/** For a file whose content is not what was expected, or another file in its place. */
export function unusable(path: string, error: unknown): ModelFileError {
  return new ModelFileError(standIn(path) ?? `${path}: ${(error as Error).message}`);
}

/** Checks the content of a model's file against a schema; throws a `ModelFileError` that names file and keys. */
export function checkFile<T extends z.ZodType>(path: string, schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join('.') || 'content'}: ${issue.message}`);
  throw new ModelFileError(`${path}: ${issues.join('; ')}`);
}

/** A JSON object of which each key is checked only when it is needed: a wrong value refuses nothing else. */
export class ModelJson {
  private constructor(
    readonly path: string,
    private readonly content: Record<string, unknown>,
  ) {}

  /** The file of that name in the first folder that has it; null when none does. Throws a `ModelFileError` for one that is no JSON object. */
  static read(folders: string[], name: string): ModelJson | null {
    const path = findFile(folders, name);
    return path === null ? null : new ModelJson(path, checkFile(path, z.record(z.string(), z.unknown()), readJson(path)));
  }

  static of(path: string, value: unknown): ModelJson {
    return new ModelJson(path, checkFile(path, z.record(z.string(), z.unknown()), value));
  }

  /** The value of a key, or null when it is absent or null. Throws a `ModelFileError` for one that the schema refuses. */
  get<T extends z.ZodType>(key: string, schema: T): z.infer<T> | null {
    const value = Object.hasOwn(this.content, key) ? this.content[key] : null;
    if (value === null || value === undefined) return null;
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const issues = result.error.issues.map((issue) => `${[key, ...issue.path].join('.')}: ${issue.message}`);
    throw new ModelFileError(`${this.path}: ${issues.join('; ')}`);
  }

  /** True for a key that is there, also with the value null. */
  has(key: string): boolean {
    return Object.hasOwn(this.content, key);
  }

  /** Keys with a value other than null. */
  keys(): string[] {
    return Object.keys(this.content).filter((key) => this.content[key] !== null);
  }

  /** Throws a `ModelFileError` that names the first key which is not known: it could change the result. */
  refuseOthers(known: readonly string[]): void {
    const other = this.keys().find((key) => !known.includes(key));
    if (other !== undefined) throw new ModelFileError(`${this.path}: the key "${other}" is unknown and could change the result`);
  }
}
