import { InterleaveError, type InferenceItem, type ItemResult, type WorkerPlan } from '@app/contracts';
import { WorkerPool } from '@app/worker-pool';
import { allLoaded, reportsWhen, WorkerFixture } from '../support/worker-fixture';
import { WorkerProcess } from '../support/worker-process';

const LIMIT_MIB = 512;
/** As in libs/native/src/isolation/memory_limit.h. */
const MEMORY_LIMIT_EXIT_CODE = 12;
/** As often as the pool lets workers die of one input before it gives the input up. */
const DEATHS = 3;

const item = (value: number): InferenceItem => ({
  inputs: [{ name: 'value', datatype: 'INT64', shape: [1], data: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer) }],
  outputs: null,
});

describe('a model that allocates without end', () => {
  let fixture: WorkerFixture;
  let pool: WorkerPool;
  let workers: WorkerProcess[];
  let greedy: WorkerPlan;

  beforeAll(async () => {
    fixture = new WorkerFixture();
    greedy = { ...fixture.plan('greedy-realtime', 'realtime', ['hoard']), memoryBytes: LIMIT_MIB << 20 };
    const other = fixture.plan('other-realtime', 'realtime', ['crash']);
    fixture.place(greedy, other);
    workers = [WorkerProcess.start(fixture, greedy), WorkerProcess.start(fixture, other)];
    pool = new WorkerPool({ lane: 'realtime', runDir: fixture.runDir });
    await reportsWhen(pool, allLoaded(2));
  });
  afterAll(async () => {
    await pool.close();
    await Promise.all(workers.map((worker) => worker.kill()));
    fixture.remove();
  });

  const infer = async (model: string, value: number): Promise<ItemResult | InterleaveError | undefined> =>
    (await pool.infer({ model, version: null, items: [item(value)], timeoutMs: 300_000, priority: 0, signal: null }))[0];

  it('ends its own worker by the memory limit, again when it is tried again, and is given up; the other worker answers all the time', async () => {
    expect(await infer('hoard', 5)).not.toBeInstanceOf(InterleaveError);
    let isOver = false;
    const poison = infer('hoard', -1).finally(() => (isOver = true));
    const others = (async () => {
      const answers: (ItemResult | InterleaveError | undefined)[] = [];
      while (!isOver) {
        answers.push(await infer('crash', 10 + answers.length));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return answers;
    })();
    for (let death = 1; death <= DEATHS; death += 1) {
      const worker = workers[0] as WorkerProcess;
      const end = await worker.end();
      // The kernel ends it where a cgroup is delegated.
      expect([`exit ${MEMORY_LIMIT_EXIT_CODE}`, 'SIGKILL']).toContain(end);
      if (end !== 'SIGKILL')
        expect(worker.errors).toMatch(new RegExp(`worker greedy-realtime: \\d+ MiB of memory are in use, more than the ${LIMIT_MIB} MiB`));
      workers[0] = WorkerProcess.start(fixture, greedy);
    }
    expect(await poison).toMatchObject({ code: 'inference_failed', message: expect.stringContaining('3 workers died') as string });
    const answers = await others;
    expect(answers.length).toBeGreaterThan(0);
    expect(answers.filter((answer) => answer === undefined || answer instanceof InterleaveError)).toEqual([]);
    expect(await infer('hoard', 7)).not.toBeInstanceOf(InterleaveError);
  }, 300_000);
});
