import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openaiClient } from '../support/batch-job';
import { askScale, ChangingModel, factorsOfBatch, readScale, scaleGraph, sendOnes, submitScaleRows } from '../support/changing-model';
import { startLiveLoad } from '../support/live-load';
import { residentMiB, Stack, until } from '../support/stack';

const MINUTES_15 = 15 * 60_000;
const WAIT_MS = 60_000;
const SWAPS = 200;
/** Every so many new files are no graph. */
const BROKEN_EVERY = 5;
const ROWS = 20_000;
/** After so many swaps all pools and caches have their size. */
const WARM_SWAPS = 40;
const GROWTH_MIB_MAX = 40;
const PROCESSES = ['default-realtime', 'default-batch', 'runner', 'api-1', 'api-2', 'scheduler'];

describe('models that change under load', () => {
  let stack: Stack;
  let model: ChangingModel;
  beforeEach(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
    model = new ChangingModel(join(stack.dir, 'models'));
    model.addVersion(1, 1);
    await answers(1);
  });
  afterEach(() => stack?.stop());

  const answers = (factor: number): Promise<void> =>
    until(
      async () => (await askScale(stack.url)).factor === factor,
      WAIT_MS,
      () => `factor ${factor}:\n${stack.log().slice(-6000)}`,
    );

  it(
    '200 swaps, some of them broken: no failed request, one version for the whole batch, flat memory',
    async () => {
      const batchId = await submitScaleRows(stack, ROWS);
      const client = openaiClient(stack);
      await until(
        async () => (await client.batches.retrieve(batchId)).status === 'in_progress',
        WAIT_MS,
        () => stack.log().slice(-6000),
      );
      const seen = new Set<number | null>();
      const load = startLiveLoad({ concurrency: 2, send: () => sendAndNote(seen) });
      const memory: Record<string, number[]> = {};
      try {
        for (let swap = 1; swap <= SWAPS; swap++) {
          const isBroken = swap % BROKEN_EVERY === 0;
          model.replaceGraph(1, isBroken ? Buffer.from(`broken ${swap}`) : scaleGraph(swap + 1));
          if (isBroken) await sleep(1_500);
          else await answers(swap + 1);
          if (swap >= WARM_SWAPS && swap % 20 === 0) await noteMemory(memory);
        }
        await until(
          async () => (await client.batches.retrieve(batchId)).status === 'completed',
          MINUTES_15,
          () => stack.log().slice(-6000),
        );
      } finally {
        await load.stop();
      }
      console.log(`${load.report.answered} requests, memory in MiB: ${JSON.stringify(memory)}`);
      expect(load.report.failures).toEqual([]);
      expect([...seen].filter((factor) => factor === null || factor < 1 || factor > SWAPS + 1 || factor % BROKEN_EVERY === 1)).toEqual([1]);
      expect(await factorsOfBatch(stack, batchId)).toEqual({ rows: ROWS, factors: new Set([1]) });
      for (const series of Object.values(memory)) expect((series.at(-1) ?? 0) - (series[0] ?? 0)).toBeLessThan(GROWTH_MIB_MAX);
    },
    MINUTES_15,
  );

  it(
    'comes up with whole files whichever process is killed in the middle of a swap',
    async () => {
      let factor = 1;
      for (const id of PROCESSES) {
        for (const delayMs of [300, 900, 1_500]) {
          const next = factor + 1;
          model.replaceGraph(1, scaleGraph(next));
          await sleep(delayMs);
          if (id === 'scheduler') {
            await stack.killScheduler();
            stack.startScheduler();
          } else process.kill(await stack.pidOf(id), 'SIGKILL');
          const answer = await askScale(stack.url).catch(() => null);
          if (answer?.status === 200) expect([factor, next]).toContain(answer.factor);
          await answers(next);
          factor = next;
        }
      }
    },
    MINUTES_15,
  );

  async function sendAndNote(seen: Set<number | null>): Promise<Response> {
    const response = await sendOnes(stack.url);
    if (response.status === 200) seen.add((await readScale(response.clone())).factor);
    return response;
  }

  async function noteMemory(memory: Record<string, number[]>): Promise<void> {
    for (const { id, pid } of await stack.processes()) if (pid !== null) (memory[id] ??= []).push(Math.round(residentMiB(pid)));
    (memory['scheduler'] ??= []).push(Math.round(residentMiB(stack.schedulerPid)));
  }
});
