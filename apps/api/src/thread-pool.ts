import { readdirSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setPriority } from 'node:os';

/** As live executors: text is tokenized for them. */
const NICE = 10;
const TASKS = '/proc/self/task';

/**
 * Lowers the priority of the threads that tokenize, so that they do not take the CPU from the event loop when they have much
 * to do. Call before anything else uses the thread pool: its threads are told from others by starting it here, and the
 * tokenizer's own threads are started by them and inherit the priority. Returns how many threads there are.
 */
export async function lowerThreadPool(): Promise<number> {
  if (statSync(TASKS, { throwIfNoEntry: false }) === undefined) return 0;
  const before = new Set(readdirSync(TASKS));
  await stat(TASKS);
  const started = readdirSync(TASKS).filter((id) => !before.has(id));
  for (const id of started) setPriority(Number(id), NICE);
  return started.length;
}
