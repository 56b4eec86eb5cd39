import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SourceError } from './source-error';

const INCOMING = '.incoming-';
const REMOVED = '.removed-';
const OWNER = 'owner.json';
/** Of a process that cannot be seen from here: it may be of another machine or container. */
const UNSEEN_MS_MAX = 24 * 3_600_000;

/** A path below `modelsDir` that is not there yet and is not scanned for models: its name begins with a dot. */
export const removedPath = (modelsDir: string): string => join(modelsDir, `${REMOVED}${process.pid}-${randomBytes(6).toString('hex')}`);

/** Makes a folder of this process for what it fetches; `removeIncoming` takes it away, or the next process that adds a model. */
export async function makeIncoming(modelsDir: string): Promise<string> {
  const folder = join(modelsDir, `${INCOMING}${process.pid}-${randomBytes(6).toString('hex')}`);
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new SourceError(`MODELS_DIR ${modelsDir} cannot be written to (${error.code}); create the folder, or run this as its owner`);
  });
  await writeFile(join(folder, OWNER), JSON.stringify(identityOf(process.pid)));
  return folder;
}

export async function removeIncoming(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

/** Removes what processes left that were killed: halves of downloads, and versions on their way out. */
export async function sweepIncoming(modelsDir: string): Promise<void> {
  const names = await readdir(modelsDir).catch(() => []);
  for (const name of names) {
    const folder = join(modelsDir, name);
    if (name.startsWith(REMOVED) || (name.startsWith(INCOMING) && (await isAbandoned(folder)))) await removeIncoming(folder);
  }
}

/** A process of one boot and one namespace of process ids; `start` tells it from a later one with the same id. */
interface Identity {
  pid: number;
  boot: string;
  namespace: string;
  start: string;
}

async function isAbandoned(folder: string): Promise<boolean> {
  const owner = await readFile(join(folder, OWNER), 'utf8').then(parseOwner, () => null);
  const here = identityOf(process.pid);
  if (owner !== null && owner.boot === here?.boot && owner.namespace === here.namespace)
    return identityOf(owner.pid)?.start !== owner.start;
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs > UNSEEN_MS_MAX;
}

function parseOwner(text: string): Identity | null {
  try {
    return JSON.parse(text) as Identity | null;
  } catch {
    return null; // killed while it was written
  }
}

/** Null: there is no such process. */
function identityOf(pid: number): Identity | null {
  try {
    const stats = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The name of the program, in parentheses, may hold anything; the 22nd field is the 20th after it.
    const start = stats.slice(stats.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    return { pid, boot, namespace: readlinkSync('/proc/self/ns/pid'), start };
  } catch {
    return null;
  }
}
