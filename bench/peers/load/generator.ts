import { once } from 'node:events';
import { SeededRandom } from '../../../test/support/tensors';
import { OpenLoop, type Outcome } from '../../online/open-loop';
import { peerOf } from '../catalogue';
import { closedLoop } from './closed-loop';
import { Gate } from './gate';
import type { Load } from './load';
import { requestRows, requestsOf } from './rows';

const ROWS = 2000;

/** A `Load` comes as a message, its outcomes go back. */
async function main(): Promise<void> {
  const [load] = (await once(process, 'message')) as [Load];
  // A bench that is ended early leaves no load behind.
  process.once('disconnect', () => process.exit());
  const requests = requestsOf(peerOf(load.peer), requestRows(ROWS, load.seed), load.timeoutMs);
  const startMs = performance.now();
  const outcomes = await outcomesOf(load, requests);
  process.send?.(
    outcomes.filter(({ dueMs }) => dueMs >= startMs + load.warmMs),
    () => process.disconnect(),
  );
}

async function outcomesOf(load: Load, requests: Buffer[]): Promise<Outcome[]> {
  const durationMs = load.warmMs + load.durationMs;
  if ('callers' in load.pattern) {
    const { callers } = load.pattern;
    const gate = 'gate' in load.pattern ? new Gate(load.url, callers) : null;
    return closedLoop(load.url, requests, { callers, durationMs, gate }).finally(() => gate?.close());
  }
  const loop = new OpenLoop(load.url);
  const outcomes = await loop.run(requests, { ...load.pattern, durationMs, random: new SeededRandom(load.seed) });
  loop.close();
  return outcomes;
}

void main();
