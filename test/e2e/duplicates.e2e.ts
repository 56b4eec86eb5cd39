import { readFileSync } from 'node:fs';
import { Stack, until } from '../support/stack';

const REQUESTS = 50;
const WAIT_MS = 60_000;
/** How long the run lasts behind which the requests gather. */
const GATE_MS = 4000;

/** The first CPU that this process may use. */
function firstCpu(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^Cpus_allowed_list:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

describe('identical requests in flight', () => {
  let stack: Stack;

  beforeAll(async () => {
    // One executor, so that one run holds up all.
    const config = `partitions: [{ id: only, cpus: [${firstCpu()}] }]\nrealtime: { runTimeoutMs: ${GATE_MS} }\ncalibration: { budgetMs: 0 }\n`;
    stack = await Stack.start({ models: ['encoder-tiny', 'endless'], config });
  });
  afterAll(() => stack?.stop());

  const post = (path: string, body: object): Promise<Response> =>
    fetch(stack.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const metric = async (name: string, model: string): Promise<number> => {
    const exposition = await (await fetch(`${stack.url}/metrics`)).text();
    const line = exposition
      .split('\n')
      .find(
        (candidate) => candidate.startsWith(`${name}{`) && candidate.includes(`model="${model}"`) && candidate.includes('lane="realtime"'),
      );
    return Number(line?.split(' ').at(-1) ?? Number.NaN);
  };

  it('run once and are answered each, and are counted', async () => {
    const gate = post('/v2/models/endless/infer', { inputs: [{ name: 'value', shape: [1], datatype: 'INT64', data: [-1] }] });
    await until(
      async () => (await metric('interleave_run_formation_seconds_count', 'endless')) === 1,
      WAIT_MS,
      () => 'the executor is not held',
    );
    const responses = await Promise.all(
      Array.from({ length: REQUESTS }, () => post('/v1/models/encoder-tiny:predict', { instances: ['the same text'] })),
    );
    const answers = await Promise.all(responses.map((response) => response.text()));
    expect((await gate).status).not.toBe(200);
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/"predictions":\[\[-?\d/);
    const [rows, duplicates] = [
      await metric('interleave_run_rows_sum', 'encoder-tiny'),
      await metric('interleave_duplicates_total', 'encoder-tiny'),
    ];
    expect(duplicates).toBeGreaterThan(0);
    expect(rows + duplicates).toBe(REQUESTS);
  });
});
