import { join } from 'node:path';
import { openaiClient } from '../support/batch-job';
import {
  askScale,
  ChangingModel,
  factorsOfBatch,
  readScale,
  scaleGraph,
  sendOnes,
  submitScaleRows,
  type ScaleAnswer,
} from '../support/changing-model';
import { startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';

const MINUTES_3 = 3 * 60_000;
const WAIT_MS = 30_000;
const SWAPS = 4;
const ROWS = 2_000;

interface IndexEntry {
  name: string;
  version: string;
  state: string;
  reason: string;
}

describe('models that change while the node serves', () => {
  let stack: Stack;
  let model: ChangingModel;
  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
    model = new ChangingModel(join(stack.dir, 'models'));
  });
  afterAll(() => stack?.stop());

  const says = (isRight: (answer: ScaleAnswer) => boolean, name = 'scale', version: string | null = null): Promise<void> =>
    until(
      async () => isRight(await askScale(stack.url, name, version)),
      WAIT_MS,
      () => stack.log().slice(-6000),
    );
  const index = async (): Promise<IndexEntry[]> =>
    (await (await fetch(`${stack.url}/v2/repository/index`, { method: 'POST', body: '{}', headers: JSON_HEADERS })).json()) as IndexEntry[];

  it('serves a model that appears, and a version that comes after it', async () => {
    expect((await askScale(stack.url)).status).toBe(404);
    model.addVersion(1);
    await says(({ factor }) => factor === 1);
    model.addVersion(2);
    await says(({ factor, version }) => factor === 2 && version === '2');
    expect(await askScale(stack.url, 'scale', '1')).toMatchObject({ status: 200, factor: 1, version: '1' });
  });

  it('keeps what serves when new files are broken, and says why', async () => {
    model.addVersion(3, 3, Buffer.from('no graph'));
    model.replaceGraph(2, Buffer.from('none either'));
    await until(
      async () => (await index()).filter(({ name, reason }) => name === 'scale' && reason !== '').length === 2,
      WAIT_MS,
      () => stack.log().slice(-6000),
    );
    expect(await askScale(stack.url)).toMatchObject({ status: 200, factor: 2, version: '2' });
    model.removeVersion(3);
    model.replaceGraph(2, scaleGraph(20));
    await says(({ factor }) => factor === 20);
  });

  it(
    'fails no request and no row while versions change, and answers a batch by one',
    async () => {
      const batchId = await submitScaleRows(stack, ROWS);
      const client = openaiClient(stack);
      await until(
        async () => (await client.batches.retrieve(batchId)).status === 'in_progress',
        WAIT_MS,
        () => stack.log().slice(-6000),
      );
      const seen = new Set<number | null>();
      const load = startLiveLoad({
        concurrency: 4,
        send: async () => {
          const response = await sendOnes(stack.url);
          if (response.status === 200) seen.add((await readScale(response.clone())).factor);
          return response;
        },
      });
      try {
        for (let swap = 0; swap < SWAPS; swap++) {
          const factor = 100 + swap;
          model.replaceGraph(2, swap % 4 === 3 ? Buffer.from('broken') : scaleGraph(factor));
          if (swap % 4 !== 3) await says((answer) => answer.factor === factor);
        }
        await until(
          async () => (await client.batches.retrieve(batchId)).status === 'completed',
          MINUTES_3,
          () => stack.log().slice(-6000),
        );
      } finally {
        await load.stop();
      }
      expect(load.report.failures).toEqual([]);
      expect([...seen].filter((factor) => factor === null || (factor !== 20 && (factor < 100 || factor >= 100 + SWAPS)))).toEqual([]);
      const batch = await client.batches.retrieve(batchId);
      expect(batch.request_counts).toEqual({ total: ROWS, completed: ROWS, failed: 0 });
      expect(await factorsOfBatch(stack, batchId)).toEqual({ rows: ROWS, factors: new Set([20]) });
    },
    MINUTES_3,
  );

  it('unloads and loads by command, and forgets what is removed', async () => {
    const command = (what: string) =>
      fetch(`${stack.url}/v2/repository/models/scale/${what}`, { method: 'POST', body: '{}', headers: JSON_HEADERS });
    model.replaceGraph(2, scaleGraph(5));
    await says(({ factor }) => factor === 5);
    expect((await command('unload')).status).toBe(200);
    await says(({ status }) => status >= 400);
    expect((await command('load')).status).toBe(200);
    expect((await askScale(stack.url)).status).toBe(200);
    model.remove();
    await says(({ status }) => status === 404);
    expect((await command('load')).status).toBeGreaterThanOrEqual(400);
  });
});

const JSON_HEADERS = { 'content-type': 'application/json' };
