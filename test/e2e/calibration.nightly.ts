import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runPaths } from '@app/config';
import { InterleaveError, type CalibrationStatus, type Lane, type ModelReport, type WorkerPlan } from '@app/contracts';
import { WorkerPool } from '@app/worker-pool';
import { fetchStatus } from '@app/process';
import { until } from '../support/stack';
import { randomItem, SeededRandom } from '../support/tensors';
import { allLoaded, reportsWhen, WorkerFixture } from '../support/worker-fixture';
import { WorkerProcess } from '../support/worker-process';

const ROOT = join(__dirname, '..', '..');
const MEASURED_MS_MAX = 50_000;

describe('measuring what runs cost', () => {
  let fixture: WorkerFixture;
  let plan: WorkerPlan;
  let worker: WorkerProcess;
  let pool: WorkerPool;
  const random = new SeededRandom(17);

  beforeEach(() => {
    fixture = new WorkerFixture();
  });

  afterEach(async () => {
    await pool.close();
    await worker.kill();
    fixture.remove();
  });

  const place = (names: string[], lane: Lane, budgetMs = 1000): void => {
    plan = fixture.plan(`all-${lane}`, lane, names);
    fixture.place(plan);
    writeFileSync(join(fixture.runDir, 'interleave.yaml'), `calibration: { budgetMs: ${budgetMs} }\n`);
    pool = new WorkerPool({ lane, runDir: fixture.runDir });
    worker = WorkerProcess.start(fixture, plan);
  };
  const restart = async (): Promise<void> => {
    await worker.kill();
    worker = WorkerProcess.start(fixture, plan);
  };
  const statuses = async (): Promise<CalibrationStatus[]> =>
    (await fetchStatus('worker', runPaths(fixture.runDir).statusSocket(plan.id), 5000)).calibration;
  const untilState = async (state: CalibrationStatus['state']): Promise<void> =>
    until(
      async () => (await statuses()).every((status) => status.state === state),
      MEASURED_MS_MAX,
      () => `not ${state}:\n${worker.errors}`,
    );
  const files = (suffix: string): string[] => {
    const folder = join(fixture.runDir, 'calibration');
    return existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => name.endsWith(suffix))
          .map((name) => join(folder, name))
      : [];
  };
  const hasCosts = (reports: ModelReport[]): boolean => reports.length > 0 && reports.every(({ cost }) => cost?.grid);

  it('happens once, in the background, and clients are told', async () => {
    place(['encoder-tiny'], 'realtime', 500);
    const [report] = await reportsWhen(pool, allLoaded(1));
    const signature = report?.signature;
    if (!signature) throw new Error('the model is not ready');
    let answers = 0;
    while (!hasCosts(pool.models()) || (await statuses())[0]?.state !== 'measured') {
      const items = Array.from({ length: 8 }, () =>
        randomItem(signature, { rows: 1, sequence0: random.integer(1, 60), sequence1: 0 }, random),
      );
      const results = await pool.infer({ model: 'encoder-tiny', version: null, items, timeoutMs: null, priority: 0, signal: null });
      expect(results.filter((result) => result instanceof InterleaveError)).toEqual([]);
      answers += results.length;
      await new Promise((resolve) => setTimeout(resolve, 20)); // so that executors have time to measure
    }
    expect(answers).toBeGreaterThan(0);
    const grid = pool.models()[0]?.cost?.grid;
    expect(grid?.rows).toContain(1);
    expect(grid?.lengths.length).toBeGreaterThan(3);
    expect(files('.measuring')).toEqual([]);

    const [file = ''] = files('.json');
    const measuredMs = statSync(file).mtimeMs;
    await restart();
    await untilState('measured');
    await reportsWhen(pool, hasCosts);
    expect(statSync(file).mtimeMs).toBe(measuredMs);
    expect(files('.json')).toEqual([file]);
  });

  it('goes on after the process was killed in the middle of it', async () => {
    place(['encoder-small'], 'realtime', 1500);
    await until(
      () => Promise.resolve(files('.measuring').length === 1),
      MEASURED_MS_MAX,
      () => `nothing is measured:\n${worker.errors}`,
    );
    await restart();
    await untilState('measured');
    expect(files('.measuring')).toEqual([]);
    expect(files('.json')).toHaveLength(1);
  });

  it('takes over a table that another process stores', async () => {
    place(['encoder-tiny', 'fixed'], 'realtime', 0);
    await reportsWhen(pool, allLoaded(2));
    const idle = await statuses();
    expect(idle.map(({ state }) => state)).toEqual(['waiting', 'waiting']);
    const batchPlan = fixture.plan('all-batch', 'batch', ['encoder-tiny', 'fixed']);
    writeFileSync(join(fixture.runDir, 'interleave.yaml'), 'calibration: { budgetMs: 500 }\n');
    fixture.place(plan, batchPlan);
    const other = WorkerProcess.start(fixture, batchPlan);
    await reportsWhen(pool, hasCosts);
    await untilState('measured');
    await other.kill();
  });

  it('is done in full by the command line, for workers that run', async () => {
    place(['fixed'], 'realtime', 0);
    await reportsWhen(pool, allLoaded(1));
    const env = { ...process.env, DATA_DIR: fixture.runDir, MODELS_DIR: fixture.modelsDir };
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'bin', 'interleave.js'), 'calibrate', 'fixed'], { env });
    expect(stdout).toMatch(/^tokens \\ rows +1 +2 +3 +4 +6 +8 +12 +16 +24 +32\n +1( +[0-9.]+\*?){10}\n/);
    await reportsWhen(pool, hasCosts);
    expect(pool.models()[0]?.cost?.grid?.runNs[0]?.every((ns) => ns > 0)).toBe(true);
    const failure = promisify(execFile)(process.execPath, [join(ROOT, 'bin', 'interleave.js'), 'calibrate', 'nope'], { env });
    await expect(failure).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('no model nope') });
  });

  it('does its best with every kind of model, and says why where it cannot', async () => {
    place(['fixed', 'two-axes', 'strings', 'no-batch', 'no-mask', 'half', 'crash'], 'realtime', 300);
    await until(
      async () => (await statuses()).every(({ state }) => state === 'measured' || state === 'skipped'),
      MEASURED_MS_MAX,
      () => worker.errors,
    );
    const skipped = (await statuses()).filter(({ state }) => state === 'skipped');
    expect(skipped).toEqual([
      expect.objectContaining({ name: 'crash', version: '1', reason: expect.stringMatching(/division by zero/i) as string }),
    ]);
    const grids = Object.fromEntries(pool.models().map(({ name, cost }) => [name, cost?.grid]));
    expect(grids['fixed']?.lengths).toEqual([1]);
    expect(grids['strings']?.lengths).toEqual([1]);
    expect(grids['no-batch']).toMatchObject({ lengths: [1], rows: [1] });
    expect(grids['two-axes']?.lengths[0]).toBe(2);
    expect(grids['half']?.lengths.length).toBeGreaterThan(2);
  });

  it('gives up on a model that kills the process, and serves it all the same', async () => {
    place(['crash-at-zero'], 'realtime');
    // Twice while it is probed, twice while it is measured.
    for (let death = 0; death < 4; death++) {
      expect(await worker.end()).toMatch(/^SIG/);
      await restart();
    }
    await untilState('skipped');
    expect((await statuses())[0]?.reason).toMatch(/died 2 times.*interleave calibrate crash-at-zero/);
    const inputs = [{ name: 'value', datatype: 'INT64' as const, shape: [1], data: new Uint8Array(BigInt64Array.from([11n]).buffer) }];
    const [result] = await pool.infer({
      model: 'crash-at-zero',
      version: null,
      items: [{ inputs, outputs: null }],
      timeoutMs: 10_000,
      priority: 0,
      signal: null,
    });
    expect(result).not.toBeInstanceOf(InterleaveError);
  });
});
