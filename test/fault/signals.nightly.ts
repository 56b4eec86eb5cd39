import { fileLines, openaiClient, submitEmbeddings } from '../support/batch-job';
import { Stack, until } from '../support/stack';

const BODY = JSON.stringify({ model: 'encoder-tiny', input: 'answered before the end' });
const ROWS = 3000;
const WAIT_MS = 60_000;

describe('signals to the processes of a node', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());
  beforeEach(() =>
    until(
      async () => (await stack.processes()).every(({ state }) => state === 'ready'),
      WAIT_MS,
      () => stack.log(),
    ),
  );

  describe.each(['api-1', 'runner', 'default-realtime', 'default-batch'])('%s', (id) => {
    it.each(['SIGINT', 'SIGHUP'] as const)('leaves %s, which a terminal sends to all, to the scheduler', async (signal) => {
      const before = await stack.processes();
      process.kill(await stack.pidOf(id), signal);
      await liveAnswers(stack, 5);
      expect(await stack.processes()).toEqual(before);
    });

    it('drains on SIGTERM, ends with exit code 0 and is started again', async () => {
      const pid = await stack.pidOf(id);
      process.kill(pid, 'SIGTERM');
      const process_ = async () => (await stack.processes()).find((other) => other.id === id);
      await until(
        async () => (await process_())?.state === 'ready' && (await process_())?.pid !== pid,
        WAIT_MS,
        () => stack.log(),
      );
      expect(await process_()).toMatchObject({ reason: 'exit code 0' });
    });
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('loses nothing when the whole node gets %s', async (signal) => {
    const client = openaiClient(stack);
    const id = await submitEmbeddings(
      stack,
      'encoder-tiny',
      Array.from({ length: ROWS }, (_, row) => `row ${row}`),
    );
    await until(
      async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 0,
      WAIT_MS,
      () => stack.log(),
    );
    const answers = liveAnswers(stack, 20);
    const pids = (await stack.processes()).flatMap(({ pid }) => pid ?? []);
    const exited = stack.exited();
    // A terminal sends its signals to all; another program sends SIGTERM to the scheduler.
    for (const pid of signal === 'SIGTERM' ? [stack.schedulerPid] : [stack.schedulerPid, ...pids]) process.kill(pid, signal);
    expect((await answers).filter((answer) => answer !== 200 && answer !== 'fetch failed')).toEqual([]);
    expect(await exited).toEqual({ code: 0, signal: null });
    stack.startScheduler();
    await stack.ready();
    await until(
      async () => (await client.batches.retrieve(id)).status === 'completed',
      WAIT_MS,
      () => stack.log(),
    );
    const lines = await fileLines(stack, (await client.batches.retrieve(id)).output_file_id);
    expect(lines.map(({ custom_id: customId }) => customId)).toEqual(Array.from({ length: ROWS }, (_, row) => `row-${row}`));
  });
});

/** Statuses of requests sent at once; `fetch failed` for one that found nobody to answer it. */
function liveAnswers(stack: Stack, count: number): Promise<(number | string)[]> {
  const ask = (): Promise<number | string> =>
    fetch(`${stack.url}/v1/embeddings`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: BODY }).then(
      async (answer) => (await answer.text(), answer.status),
      (error: Error) => error.message,
    );
  return Promise.all(Array.from({ length: count }, ask));
}
