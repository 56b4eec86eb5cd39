import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What a signal removes before it ends the process. */
const folders = new Set<string>();

/**
 * Runs `use` with a folder of its own, which goes afterwards, also when a signal ends the process. Messages of its errors name
 * linked files where they really lie.
 */
export async function inScratchFolder<T>(name: string, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = makeScratchFolder(name);
  try {
    return await use(folder);
  } catch (error) {
    if (error instanceof Error) error.message = withRealPaths(error.message, folder);
    throw error;
  } finally {
    removeScratchFolder(folder);
  }
}

/** The text with what links in the folder lead to in place of the links: the folder is gone when somebody reads it. */
export function withRealPaths(text: string, folder: string): string {
  const links = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort((a, b) => b.length - a.length); // "…/model-2" before "…/model"
  return links.reduce((told, link) => told.replaceAll(link, () => readlinkSync(link)), text);
}

/** The caller removes it; a signal does so too. */
export function makeScratchFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `interleave-${name}-`));
  removeOnSignal(folder);
  return folder;
}

/** The same for a folder that may not be there yet. */
export function removeOnSignal(folder: string): void {
  if (folders.size === 0) for (const signal of SIGNALS) process.on(signal, endBySignal);
  folders.add(folder);
}

export function removeScratchFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
  if (folders.size === 0) for (const signal of SIGNALS) process.off(signal, endBySignal);
}

function endBySignal(signal: NodeJS.Signals): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  process.exit(128 + constants.signals[signal]);
}
