import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import {
  InterleaveError,
  type InferenceItem,
  type ItemResult,
  type Lane,
  type WorkerModelPlan,
  type WorkerPlan,
  type WorkerProcessStatus,
} from '@app/contracts';
import { WorkerPool } from '@app/worker-pool';
import { fetchMetrics, fetchStatus } from '@app/process';
import { slowToLoad } from '../../tools/model-builder/src/bad-models';
import { writeModel } from '../../tools/model-builder/src/files';
import { allLoaded, modelPlan, reportsWhen, WorkerFixture } from '../support/worker-fixture';
import { WorkerProcess } from '../support/worker-process';

const int64Item = (...values: number[]): InferenceItem => ({
  inputs: [{ name: 'value', datatype: 'INT64', shape: [values.length], data: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) }],
  outputs: null,
});
const outcomeOf = (result: ItemResult | InterleaveError | undefined): string => (result instanceof InterleaveError ? result.code : 'ok');
const firstOf = (result: ItemResult | InterleaveError | undefined): bigint | undefined =>
  result === undefined || result instanceof InterleaveError
    ? undefined
    : new BigInt64Array(Uint8Array.from(result.outputs[0]?.data ?? []).buffer)[0];

describe.each(['realtime', 'batch'] as const)('a worker process of the %s lane', (lane: Lane) => {
  let fixture: WorkerFixture;
  let pool: WorkerPool;
  let worker: WorkerProcess;
  let plan: WorkerPlan;

  const start = async (names: string[], overrides: Partial<WorkerModelPlan> = {}): Promise<void> => {
    fixture = new WorkerFixture();
    plan = fixture.plan(`all-${lane}`, lane, names);
    plan = { ...plan, models: plan.models.map((model) => ({ ...model, ...overrides })) };
    fixture.place(plan);
    worker = WorkerProcess.start(fixture, plan);
    pool = new WorkerPool({ lane, runDir: fixture.runDir });
    await reportsWhen(pool, allLoaded(names.length));
  };

  const infer = (model: string, ...items: InferenceItem[]): Promise<(ItemResult | InterleaveError)[]> =>
    pool.infer({ model, version: null, items, timeoutMs: lane === 'batch' ? null : 60_000, priority: 0, signal: null });

  afterEach(async () => {
    await pool.close();
    await worker.kill();
    fixture.remove();
  });

  it('says what it does', async () => {
    await start(['crash', 'endless']);
    await infer('crash', int64Item(10), int64Item(20));
    const socket = runPaths(fixture.runDir).statusSocket(plan.id);
    const status = await statusOf(socket);
    expect(status).toMatchObject({ id: plan.id, lane, pid: worker.child.pid, state: 'serving', executors: [{ cpu: 0 }] });
    expect(status.models.map(({ name, state }) => [name, state])).toEqual([
      ['crash', 'ready'],
      ['endless', 'ready'],
    ]);
    expect(status.isolation.map(({ tool, state }) => `${tool} ${state}`)).toEqual(
      expect.arrayContaining(['process-affinity active', 'memory-limit off', `oom-score ${lane === 'batch' ? 'active' : 'off'}`]),
    );
    expect(status.executors[0]?.isolation.map(({ tool }) => tool).sort()).toEqual([
      'cpu-affinity',
      'nice',
      'scheduling-class',
      'scheduling-slice',
    ]);
    const metrics = await fetchMetrics(socket, 5000);
    const labels = { model: 'crash', version: '1', lane, worker: plan.id };
    const valueOf = (name: string, extra: object): number | undefined =>
      metrics
        .find((metric) => metric.name === name)
        ?.values.find((value) => JSON.stringify(sorted(value.labels)) === JSON.stringify(sorted({ ...labels, ...extra })))?.value;
    expect(valueOf('interleave_items_total', { outcome: 'ok' })).toBe(2);
    expect(valueOf('interleave_queue_items', {})).toBe(0);
    expect(valueOf('interleave_tokens_total', { kind: 'real' })).toBe(2);
    expect(valueOf('interleave_run_rows', { le: '+Inf' })).toBeGreaterThan(0);
  });

  it('fails only the item at fault', async () => {
    await start(['crash']);
    expect((await infer('crash', int64Item(10), int64Item(0), int64Item(20))).map(outcomeOf)).toEqual(['ok', 'inference_failed', 'ok']);
  });

  it('answers what it has before it ends on SIGTERM, and ignores the SIGINT of the terminal', async () => {
    await start(['endless']);
    const results = infer('endless', ...Array.from({ length: 20 }, (_, i) => int64Item(1000 + i)));
    worker.child.kill('SIGINT');
    const first = await infer('endless', int64Item(1));
    expect(outcomeOf(first[0])).toBe('ok');
    const late = infer('endless', int64Item(20_000));
    await new Promise((resolve) => setImmediate(resolve)); // submitted
    worker.child.kill('SIGTERM');
    expect((await results).map(outcomeOf)).toEqual(Array(20).fill('ok'));
    expect(await worker.end()).toBe('exit 0');
    worker = WorkerProcess.start(fixture, plan);
    expect(outcomeOf((await late)[0])).toBe('ok');
  });

  it('ends on SIGTERM while a model is being loaded', async () => {
    fixture = new WorkerFixture();
    const ready = fixture.plan(`all-${lane}`, lane, ['crash']);
    writeModel(join(fixture.modelsDir, 'slow-to-load'), slowToLoad(), '');
    plan = { ...ready, models: [...ready.models, modelPlan(fixture.modelsDir, 'slow-to-load')] };
    fixture.place(plan);
    worker = WorkerProcess.start(fixture, plan);
    pool = new WorkerPool({ lane, runDir: fixture.runDir });
    await reportsWhen(pool, ([first]) => first?.state === 'ready');
    expect(firstOf((await infer('crash', int64Item(10)))[0])).toBe(100n);
    worker.child.kill('SIGTERM');
    expect(await worker.end()).toBe('SIGKILL');
  });

  it('takes models of a new placement and lets go of others without an end', async () => {
    await start(['crash']);
    const both = fixture.plan(plan.id, lane, ['crash', 'endless']);
    fixture.place(both);
    await reportsWhen(pool, (reports) => reports.length === 2 && reports.every(({ state }) => state === 'ready'));
    expect(firstOf((await infer('crash', int64Item(10)))[0])).toBe(100n);
    expect(firstOf((await infer('endless', int64Item(2)))[0])).toBe(4n);
    fixture.place({ ...both, models: both.models.slice(1) });
    await reportsWhen(pool, (reports) => reports.length === 1);
    expect(firstOf((await infer('endless', int64Item(2)))[0])).toBe(4n);
    const socket = runPaths(fixture.runDir).statusSocket(plan.id);
    while ((await statusOf(socket)).models.length > 1) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(worker.child.exitCode).toBeNull();
  });

  it('ends a run that takes too long and goes on', async () => {
    await start(['endless'], { runTimeoutMs: 300 });
    expect(outcomeOf((await infer('endless', int64Item(-1)))[0])).toBe('inference_failed');
    expect(firstOf((await infer('endless', int64Item(2)))[0])).toBe(4n);
  });

  it('ends a run that costs far more than such runs cost, long before its time limit', async () => {
    await start(['endless'], { runTimeoutMs: 3_600_000 });
    await reportsWhen(pool, ([report]) => (report?.cost?.grid ?? null) !== null);
    const [result] = await infer('endless', int64Item(-1));
    expect(outcomeOf(result)).toBe('inference_failed');
    expect((result as InterleaveError).message).toMatch(/ms of CPU time.* set runTimeoutMs in model.yaml/);
    expect(firstOf((await infer('endless', int64Item(2)))[0])).toBe(4n);
  });

  it('answers the others that shared a run which took too long', async () => {
    await start(['endless'], { runTimeoutMs: 300 });
    const results = await infer('endless', ...[3, 4, -1, 2, 5].map((value) => int64Item(value)));
    expect(results.map(outcomeOf)).toEqual(['ok', 'ok', 'inference_failed', 'ok', 'ok']);
    // The model adds the largest value of the run to each: only the largest of all is the same however they were grouped.
    expect(firstOf(results[4])).toBe(10n);
  });

  it('dies of a poisonous item, and only that item fails', async () => {
    await start(['crash']);
    const poison = infer('crash', int64Item(-1));
    await expect(worker.end()).resolves.toMatch(/^SIG/);
    worker = WorkerProcess.start(fixture, plan);
    const healthy = infer('crash', int64Item(10), int64Item(20));
    for (let deathAlone = 1; deathAlone <= 2; deathAlone += 1) {
      await expect(worker.end()).resolves.toMatch(/^SIG/);
      worker = WorkerProcess.start(fixture, plan);
    }
    expect(outcomeOf((await poison)[0])).not.toBe('ok');
    expect((await healthy).map(outcomeOf)).toEqual(['ok', 'ok']);
  });
});

describe('a worker process that cannot start', () => {
  it('says so and exits with 1', async () => {
    const fixture = new WorkerFixture();
    fixture.place();
    const worker = WorkerProcess.start(fixture, { id: 'all-realtime' });
    expect(await worker.end()).toBe('exit 1');
    expect(worker.errors).toContain('no worker all-realtime');
    fixture.remove();
  });

  it.each([
    ['there is none', null, 'there is no placement at'],
    [
      'it is of another version',
      { formatVersion: 2, partitions: [], workers: [] },
      'expected formatVersion 1 in placement.json but received 2',
    ],
  ])('says what is wrong with the placement: %s', async (_what, placement, reason) => {
    const fixture = new WorkerFixture();
    if (placement !== null) writeFileSync(runPaths(fixture.runDir).placement, JSON.stringify(placement));
    const worker = WorkerProcess.start(fixture, { id: 'all-realtime' });
    expect(await worker.end()).toBe('exit 1');
    expect(worker.errors).toContain(reason);
    fixture.remove();
  });
});

/** The channel opens before the status socket does. */
async function statusOf(socket: string): Promise<WorkerProcessStatus> {
  for (;;) {
    try {
      return await fetchStatus('worker', socket, 5000);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const sorted = (labels: object): [string, unknown][] => Object.entries(labels).sort(([a], [b]) => a.localeCompare(b));
