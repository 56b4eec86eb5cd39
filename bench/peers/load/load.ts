import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Outcome } from '../../online/open-loop';

/** Callers that ask again when they have their answer, or arrivals of a Poisson process whatever became of the earlier ones. */
export type Pattern =
  | { callers: number }
  /** Such callers behind a gate that knows the server's metrics. */
  | { callers: number; gate: true }
  /** Callers that give up close their connection. */
  | { perSecond: number; giveUpMs: number | null };

export interface Load {
  peer: string;
  url: string;
  pattern: Pattern;
  timeoutMs: number | null;
  seed: number;
  /** Outcomes of requests that were due within it are left out. */
  warmMs: number;
  /** After the warm-up. */
  durationMs: number;
}

/** Sends a load from a process of its own. */
export async function send(load: Load): Promise<Outcome[]> {
  const generator = fork(join(__dirname, 'generator.js'));
  generator.send(load);
  const [outcomes] = (await Promise.race([
    once(generator, 'message'),
    once(generator, 'exit').then(([code]) => Promise.reject(new Error(`the load generator ended with ${code}`))),
  ])) as [Outcome[]];
  return outcomes;
}
