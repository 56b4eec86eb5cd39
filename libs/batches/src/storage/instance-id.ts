import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { orNullIfMissing } from './durable';
import { storagePaths } from './storage-paths';

/**
 * The name of a data directory, made once. It is the prefix of every Redis key, so that two installations that share one
 * Redis cannot take each other's chunks.
 */
export async function readInstanceId(dataDir: string): Promise<string> {
  const path = storagePaths(dataDir).instanceId;
  const existing = await orNullIfMissing(readFile(path, 'utf8'));
  if (existing !== null) return existing;
  await mkdir(dataDir, { recursive: true });
  const candidate = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(candidate, randomBytes(8).toString('hex'), { mode: 0o600 });
  // `link` fails when another process was first; both then read what the first one wrote.
  await link(candidate, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(candidate);
  return readFile(path, 'utf8');
}
