import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchControlStatus, LaneControlStatus, NodeView } from '@app/contracts';
import { fetchStatus } from '@app/process';
import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { embed, startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';

/** A whole node under live load and one small batch after the other, so that the batch lane never rests for long. */
const LIVE = 'encoder-tiny';
/** On a machine that is busy otherwise the batch lane's class gets little CPU: the floor has little to do. */
const SHORT: BatchSize = { model: 'encoder-tiny', rows: 20 };
/** Long enough that many live answers come beside it. */
const LONG: BatchSize = { model: 'encoder-small', rows: 100 };
/** Between two live requests of a caller, so that they leave some CPU. */
const LIVE_PAUSE_MS = 10;
const WAIT_MS = 300_000;

interface BatchSize {
  model: string;
  rows: number;
}

interface Batches {
  completed: number;
  stop: () => Promise<void>;
}

let stack: Stack;
let load: ReturnType<typeof startLiveLoad>;
let batches: Batches;

async function start(sloMs: number, size: BatchSize, config: string): Promise<void> {
  stack = await Stack.start({ models: [LIVE, LONG.model], modelFiles: { [LIVE]: `realtime: { sloMs: ${sloMs} }\n` }, config });
  load = startLiveLoad({
    concurrency: 4,
    send: (sequence) => sleep(LIVE_PAUSE_MS).then(() => embed(stack.url, LIVE, `live request ${sequence}`)),
  });
  batches = startBatches(size);
}

afterEach(async () => {
  await batches?.stop();
  await load?.stop();
  await stack?.stop();
});

function startBatches({ model, rows }: BatchSize): Batches {
  let isRunning = true;
  const result: Batches = { completed: 0, stop: async () => undefined };
  const submitted = (async () => {
    while (isRunning) {
      const round = result.completed;
      await complete(
        await submitEmbeddings(
          stack,
          model,
          Array.from({ length: rows }, (_, row) => `row ${row} of batch ${round}`),
        ),
        rows,
      );
      result.completed++;
    }
  })();
  // Failures come out of `stop`.
  submitted.catch(() => undefined);
  result.stop = () => {
    isRunning = false;
    return submitted;
  };
  return result;
}

async function complete(id: string, rows: number): Promise<void> {
  const client = openaiClient(stack);
  await until(
    async () => (await client.batches.retrieve(id)).status === 'completed',
    WAIT_MS,
    () => `batch ${id} is not completed:\n${stack.log().slice(-4000)}`,
  );
  const batch = await client.batches.retrieve(id);
  const lines = await fileLines(stack, batch.output_file_id);
  expect(lines.map(({ custom_id: customId }) => customId)).toEqual(Array.from({ length: rows }, (_, row) => `row-${row}`));
}

async function laneControl(): Promise<LaneControlStatus> {
  const { laneControl: status } = await fetchStatus('scheduler', join(stack.runDir, 'scheduler.status.sock'), 10_000);
  if (status === null) throw new Error('this scheduler looks after no workers');
  return status;
}

async function batchControl(): Promise<BatchControlStatus> {
  const [worker] = (await laneControl()).batchWorkers;
  if (worker === undefined) throw new Error('no batch worker is controlled');
  return worker;
}

const untilStatus = async (condition: (status: LaneControlStatus) => boolean): Promise<void> => {
  let last: LaneControlStatus | null = null;
  await until(
    async () => condition((last = await laneControl())),
    WAIT_MS,
    () => `the lane control stays at ${JSON.stringify(last)}:\n${stack.log().slice(-4000)}`,
  );
};

/** A scrape goes on without a process that is slow to answer, so it may take some. */
async function untilMetrics(...lines: RegExp[]): Promise<void> {
  let text = '';
  const hasAll = async (): Promise<boolean> => {
    text = await (await fetch(`${stack.url}/metrics`)).text();
    return lines.every((line) => line.test(text));
  };
  await until(hasAll, WAIT_MS, () => `${lines.join(', ')} not all in\n${text}`);
}

describe('the goal of a live model', () => {
  it('that cannot be reached leaves the batch lane its floor, on which batches finish', async () => {
    await start(0.01, SHORT, 'batch: { floorShare: 0.1, holdOffShare: 0 }');
    await untilStatus(({ batchWorkers }) => batchWorkers[0]?.state === 'unreachable');
    expect(await batchControl()).toMatchObject({
      executors: 0,
      reason: expect.stringMatching(/^encoder-tiny 1 in default-realtime: p99 .* ms of 0.01 ms even without batch executors/) as string,
    });
    const { floorRuns } = await batchControl();
    // The first may have begun before.
    const finished = batches.completed + 2;
    await until(
      async () => batches.completed >= finished,
      WAIT_MS,
      () => `no batch finishes on the floor: ${stack.log().slice(-4000)}`,
    );
    const after = await batchControl();
    expect(after).toMatchObject({ state: 'unreachable', executors: 0 });
    expect(after.floorRuns).toBeGreaterThan(floorRuns);
    expect(after.slack).toBeLessThan(0);
    expect(load.report.failures).toEqual([]);
    expect(stack.log()).toMatch(/even without batch executors: the batch lane keeps its floor/);
    await untilMetrics(
      /^interleave_batch_executors_allowed\{worker="default-batch"\} 0$/m,
      /^interleave_batch_control_state\{worker="default-batch",state="unreachable"\} 1$/m,
      /^interleave_slo_slack\{worker="default-batch"\} -/m,
    );
  }, 700_000);

  it('that is far leaves the batch lane its full width; slots without it show what it costs', async () => {
    await start(60_000, LONG, 'batch: { holdOffShare: 0.5 }');
    await untilStatus(({ inflation }) => inflation.some(({ model, inflation: value }) => model === LIVE && value !== null));
    const status = await laneControl();
    expect(status.batchWorkers).toMatchObject([{ worker: 'default-batch', state: 'open', runMsMax: 100, floorRuns: 0, reason: null }]);
    const [worker] = status.batchWorkers;
    expect(worker?.executors).toBe(worker?.executorsMax);
    expect(worker?.slack).toBeGreaterThan(0.3);
    expect(status.heldOffSlots).toBeGreaterThan(0);
    await untilMetrics(
      /^interleave_inflation_ratio\{worker="default-realtime",model="encoder-tiny",version="1"\} \d/m,
      /^interleave_held_off_slots_total [1-9]/m,
      /^interleave_guard_withdrawals_total\{worker="default-realtime"\} \d/m,
    );
    const dashboard = async () => (await (await fetch(`${stack.url}/dashboard/view`)).json()) as NodeView;
    await until(
      async () => (await dashboard()).batchLane.executors.all > 0,
      WAIT_MS,
      () => 'the dashboard does not show the batch worker',
    );
    const before = batches.completed;
    await until(
      async () => batches.completed > before,
      WAIT_MS,
      () => 'batches do not go on',
    );
    expect(load.report.failures).toEqual([]);
  }, 700_000);
});
