import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Contents by path relative to the model's folder. */
export type ModelFiles = Record<string, Uint8Array>;

/** Writes a file that is too large to be had in memory; its path is given. */
export type FileWriter = (path: string) => void;

const STAMP = '.built.json';

interface Stamp {
  builder: string;
  /** Size in bytes of each file. */
  files: Record<string, number>;
}

export function jsonFile(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** Identifies this version of the builder: a hash over its own source files, so a changed builder builds again. */
export function builderFingerprint(): string {
  const hash = createHash('sha256');
  const sources = readdirSync(__dirname).filter((name) => /(?<!\.spec)\.[jt]s$/.test(name));
  for (const name of sources.sort()) hash.update(name).update(readFileSync(join(__dirname, name)));
  return hash.digest('hex');
}

/** True when `folder` holds what a builder with this fingerprint has written there. */
export function isUpToDate(folder: string, fingerprint: string): boolean {
  const path = join(folder, STAMP);
  if (!existsSync(path)) return false;
  const stamp = JSON.parse(readFileSync(path, 'utf8')) as Stamp;
  const complete = Object.entries(stamp.files).every(([name, bytes]) => {
    const file = statSync(join(folder, name), { throwIfNoEntry: false });
    return file?.size === bytes;
  });
  return complete && stamp.builder === fingerprint;
}

/** Writes a model's files, each in one step (write, rename), and the stamp last. */
export function writeModel(folder: string, files: Record<string, Uint8Array | FileWriter>, fingerprint: string): void {
  rmSync(join(folder, STAMP), { force: true });
  for (const [name, contents] of Object.entries(files)) replaceFile(join(folder, name), contents);
  const sizes = Object.fromEntries(Object.keys(files).map((name) => [name, statSync(join(folder, name)).size]));
  const stamp: Stamp = { builder: fingerprint, files: sizes };
  replaceFile(join(folder, STAMP), jsonFile(stamp));
}

function replaceFile(path: string, contents: Uint8Array | FileWriter): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  if (typeof contents === 'function') contents(temporary);
  else writeFileSync(temporary, contents);
  renameSync(temporary, path);
}
