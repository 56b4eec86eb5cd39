import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EchoEngine } from '../../../apps/runner/src/testing/echo-engine';
import { openTestRunner } from '../../../apps/runner/src/testing/open-test-runner';
import { testConfig } from '../../../apps/runner/src/testing/workspace';
import type { RowRequest } from '../../../apps/runner/src/chunks/row-engine';

/** What a row costs in ms: so much, and so much for each character; about encoder-base on one CPU. */
const ROW_MS = 15;
const CHARACTER_MS = 0.4;

/** One executor that sleeps where a real one would compute: one row after the other, whatever the timers' lateness. */
class SleepingEngine extends EchoEngine {
  private freeAtMs = 0;

  override async answer({ body }: RowRequest, signal: AbortSignal): Promise<object> {
    const { input } = body as { input: string };
    this.freeAtMs = Math.max(this.freeAtMs, performance.now()) + ROW_MS + CHARACTER_MS * input.length;
    await sleep(this.freeAtMs - performance.now(), undefined, { signal });
    return { echo: input };
  }
}

/** `sleeping-runner.js <data directory> <name> <batch settings>`: the batch runner of a node without models, a process of its own. */
async function main(): Promise<void> {
  const [, , directory = '', nodeId = '', settings = '{}'] = process.argv;
  const runDir = join(directory, nodeId);
  mkdirSync(runDir);
  await openTestRunner({ ...testConfig(directory, JSON.parse(settings) as object), runDir }, new SleepingEngine(), { nodeId });
  process.send?.('ready');
}

void main();
