import { Scrape } from '../support/metrics';
import { Stack, until } from '../support/stack';

const READY_MS_MAX = 30_000;
const TEXTS = ['one', 'a somewhat longer text', 'x '.repeat(40)];

describe('service_tier flex', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'], config: 'calibration: { budgetMs: 0 }\n' });
    // A node is ready before its batch worker is.
    await until(
      async () => (await embed('any', 'flex')).status === 200,
      READY_MS_MAX,
      () => 'the batch lane does not answer',
    );
  });
  afterAll(() => stack?.stop());

  async function embed(input: string, tier?: string): Promise<{ status: number; embedding: string; tier: unknown }> {
    const response = await fetch(`${stack.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'encoder-tiny', input, encoding_format: 'base64', service_tier: tier }),
    });
    const body = (await response.json()) as { data?: { embedding: string }[]; service_tier?: string };
    return { status: response.status, embedding: body.data?.[0]?.embedding ?? '', tier: body.service_tier };
  }

  /** A scrape goes on without a worker that is slow to answer. */
  async function rows(lane: string): Promise<number> {
    for (;;) {
      const scrape = await Scrape.of(stack.url);
      if (scrape.text.includes(`interleave_run_rows_count{model="encoder-tiny",version="1",lane="${lane}"`))
        return scrape.sum('interleave_run_rows_sum', { lane });
    }
  }

  it('gives the answer of the live lane bit for bit, from the batch worker', async () => {
    const live = [];
    for (const text of TEXTS) live.push(await embed(text));
    const before = { realtime: await rows('realtime'), batch: await rows('batch') };
    const flex = [];
    for (const text of TEXTS) flex.push(await embed(text, 'flex'));
    expect(live.map(({ status, tier }) => [status, tier])).toEqual(TEXTS.map(() => [200, undefined]));
    expect(flex).toEqual(live.map((answer) => ({ ...answer, tier: 'flex' })));
    expect(await rows('realtime')).toBe(before.realtime);
    // A first try that came too late for its caller may still have run.
    expect((await rows('batch')) - before.batch).toBeGreaterThanOrEqual(TEXTS.length);
  });

  it('is answered, or refused with the reason, while its worker is killed', async () => {
    const pid = await stack.pidOf('default-batch').catch(() => 0);
    expect(pid).toBeGreaterThan(0);
    const answers = Array.from({ length: 40 }, () => embed(TEXTS[0] as string, 'flex'));
    process.kill(pid, 'SIGKILL');
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.filter((status) => ![200, 429, 503, 504].includes(status))).toEqual([]);
    expect((await embed(TEXTS[0] as string)).status).toBe(200);
  });
});
