import { submitEmbeddings, openaiClient } from '../support/batch-job';
import { embed } from '../support/live-load';
import { hasPrometheus, Monitoring } from '../support/prometheus';
import { Stack, until } from '../support/stack';

const WORKER = 'default-realtime';
const MINUTES_3 = 3 * 60_000;
const REQUESTS = 300;
const TEXTS_OF_A_REQUEST = 3;
const BAD_REQUESTS = 40;
const ROWS = 500;
const KILLS = 3;

const describeWith = hasPrometheus ? describe : describe.skip;

describeWith('a node watched by Prometheus (skipped without Debian’s prometheus and prometheus-alertmanager)', () => {
  let stack: Stack;
  let monitoring: Monitoring;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
    monitoring = await Monitoring.start(stack.url);
  }, MINUTES_3);
  afterAll(async () => {
    await monitoring?.stop();
    await stack?.stop();
  });

  const workerIsUp = async (): Promise<boolean> => (await stack.processes()).some(({ id, state }) => id === WORKER && state === 'ready');

  it(
    'has the counts of a load of known size, over deaths of workers of both lanes',
    async () => {
      const batchId = await submitEmbeddings(
        stack,
        'encoder-tiny',
        Array.from({ length: ROWS }, (_, row) => `row ${row}`),
      );
      const statuses: number[] = [];
      for (let sent = 0; sent < REQUESTS; sent++) {
        if (sent % (REQUESTS / KILLS) === 10) await killAfterReady(sent % 20 === 10 ? WORKER : 'default-batch');
        const response = await embedTexts(sent);
        statuses.push(response.status);
        await response.arrayBuffer();
      }
      for (let sent = 0; sent < BAD_REQUESTS; sent++) statuses.push((await embed(stack.url, 'no-such-model', 'text')).status);
      await until(
        async () => (await openaiClient(stack).batches.retrieve(batchId)).status === 'completed',
        MINUTES_3,
        () => stack.log().slice(-4000),
      );
      expect(statuses.filter((status) => status === 200)).toHaveLength(REQUESTS);
      expect(statuses.filter((status) => status === 404)).toHaveLength(BAD_REQUESTS);
      await expectValue('sum(interleave_requests_total{status="200",endpoint="embeddings",model="encoder-tiny"})', REQUESTS);
      await expectValue('sum(interleave_requests_total{status="404",model=""})', BAD_REQUESTS);
      await expectValue('sum(interleave_requests_total)', REQUESTS + BAD_REQUESTS);
      await expectValue('sum(interleave_request_seconds_count)', REQUESTS + BAD_REQUESTS);
      await expectValue('sum(interleave_request_items_total{lane="realtime"})', REQUESTS * TEXTS_OF_A_REQUEST);
      await expectValue('sum(interleave_batch_rows_total{outcome="completed"})', ROWS);
      await expectValue('sum(interleave_batch_rows_total{outcome="failed"})', 0);
      await expectValue('sum(increase(interleave_process_restarts_total[10m])) > bool 0', 1);
    },
    MINUTES_3,
  );

  it(
    'tells of a worker that is stopped, and once it is back',
    async () => {
      const alert = { alertname: 'InterleaveProcessDown', process: WORKER };
      await until(
        async () => (await workerIsUp()) && monitoring.lastTold(alert)?.status !== 'firing',
        MINUTES_3,
        () => 'the worker is down before it is stopped',
      );
      // Each start waits longer than the one before. Not while it loads models, which would be held against them.
      await until(
        async () => {
          if (await workerIsUp()) process.kill(await stack.pidOf(WORKER), 'SIGKILL');
          return monitoring.lastTold(alert)?.status === 'firing';
        },
        MINUTES_3,
        () => `nobody was told: ${JSON.stringify(monitoring.told)}`,
      );
      expect(monitoring.lastTold(alert)).toMatchObject({
        labels: { severity: 'critical' },
        annotations: { summary: expect.stringContaining(WORKER) as string, runbook_url: 'docs/runbook.md#interleaveprocessdown' },
      });
      await until(
        async () => monitoring.lastTold(alert)?.status === 'resolved',
        MINUTES_3,
        () => `it did not resolve: ${JSON.stringify(monitoring.told)}`,
      );
      expect(await workerIsUp()).toBe(true);
    },
    2 * MINUTES_3,
  );

  function embedTexts(sent: number): Promise<Response> {
    const input = Array.from({ length: TEXTS_OF_A_REQUEST }, (_, text) => `text ${text} of request ${sent}`);
    return fetch(`${stack.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'encoder-tiny', input }),
    });
  }

  async function killAfterReady(worker: string): Promise<void> {
    await until(
      async () => (await stack.processes()).some(({ id, state }) => id === worker && state === 'ready'),
      30_000,
      () => `${worker} did not come back`,
    );
    process.kill(await stack.pidOf(worker), 'SIGKILL');
  }

  /** Once Prometheus has scraped what is there. */
  async function expectValue(query: string, expected: number): Promise<void> {
    await until(
      async () => (await monitoring.value(query)) === expected,
      20_000,
      () => `${query}: expected ${expected}`,
    ).catch(() => undefined);
    expect([query, await monitoring.value(query)]).toEqual([query, expected]);
  }
});
