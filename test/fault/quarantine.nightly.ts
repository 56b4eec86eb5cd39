import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { readTopology } from '@app/system';
import { embed } from '../support/live-load';
import { Stack, until } from '../support/stack';

const CLI = join(__dirname, '..', '..', 'bin', 'interleave.js');
const MINUTES_5 = 5 * 60_000;
/** Kills whatever divides by it; costs three workers, until it is given up. */
const POISON = -1;
const HEALTHY = 10;

const SCRAPED = [
  /^interleave_model_quarantined\{[^}]*model="crash"[^}]*\} 1$/m,
  /^interleave_model_worker_deaths_total\{[^}]*model="crash"[^}]*\} \d+$/m,
];

const infer = ({ url }: Stack, model: string, value: number): Promise<Response> =>
  fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-interleave-timeout-ms': '120000' },
    body: JSON.stringify({ inputs: [{ name: 'value', shape: [1], datatype: 'INT64', data: [value] }] }),
  });

describe('a model that kills its workers again and again', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny', 'crash'] });
  });
  afterAll(() => stack?.stop());

  const divide = (value: number): Promise<Response> => infer(stack, 'crash', value);
  const isAnswered = async (): Promise<boolean> => (await divide(HEALTHY)).status === 200;

  it(
    'stays in service after one input that kills',
    async () => {
      await until(isAnswered, MINUTES_5, () => stack.log());
      expect((await divide(POISON)).status).toBe(422);
      expect((await divide(HEALTHY)).status).toBe(200);
    },
    MINUTES_5,
  );

  it(
    'is quarantined after more of them, with a clear error, and the others are served',
    async () => {
      await until(
        async () => (await divide(POISON)).status === 503,
        MINUTES_5,
        () => stack.log(),
      );
      const { error } = (await (await divide(HEALTHY)).json()) as { error: string };
      expect(error).toMatch(
        /^model "crash" version 1 cannot be served: quarantined until .*: \d+ inputs killed realtime workers.*signal SIGFPE while it ran;.*interleave models release crash/,
      );
      expect((await embed(stack.url, 'encoder-tiny', 'still here')).status).toBe(200);
    },
    MINUTES_5,
  );

  it('is said to be quarantined by metrics and the command line', async () => {
    // A scrape goes on without a process that is slow to answer.
    let metrics = '';
    const areScraped = async (): Promise<boolean> => {
      metrics = await (await fetch(`${stack.url}/metrics`)).text();
      return SCRAPED.every((line) => line.test(metrics));
    };
    await until(areScraped, MINUTES_5, () => metrics);
    const { stdout } = spawnSync(process.execPath, [CLI, 'models', '--url', stack.url], { encoding: 'utf8' });
    expect(stdout).toMatch(/crash\s+1\s+quarantined.*quarantined until/s);
  });

  it(
    'stays so when the scheduler is killed, and is released by command',
    async () => {
      await stack.killScheduler();
      stack.startScheduler();
      await until(
        async () => (await stack.processes()).every(({ state }) => state === 'ready'),
        MINUTES_5,
        () => stack.log(),
      );
      // Its time may be over by now; then it is on trial.
      await until(
        async () => (await divide(POISON)).status === 503,
        MINUTES_5,
        () => stack.log(),
      );
      const { versions } = (await (await fetch(`${stack.url}/v1/models/crash`)).json()) as {
        versions: { quarantined?: { lane: string; until: string }[] }[];
      };
      expect(versions[0]?.quarantined).toMatchObject([{ lane: 'realtime', until: expect.any(String) as string }]);
      const { status } = spawnSync(process.execPath, [CLI, 'models', 'release', 'crash'], {
        encoding: 'utf8',
        env: { ...process.env, DATA_DIR: join(stack.dir, 'data') },
      });
      expect(status).toBe(0);
      await until(isAnswered, MINUTES_5, () => stack.log().slice(-4000));
    },
    MINUTES_5,
  );
});

describe('a model that allocates without end again and again', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.start({
      models: ['encoder-tiny', 'hoard'],
      config: `partitions: [{ id: main, cpus: [${readTopology().effective[0]}], memory: 1GiB }]`,
    });
  });
  afterAll(() => stack?.stop());

  it(
    'is quarantined, and the other model of its worker is served',
    async () => {
      await until(
        async () => (await infer(stack, 'hoard', 5)).status === 200,
        MINUTES_5,
        () => stack.log(),
      );
      await until(
        async () => (await infer(stack, 'hoard', POISON)).status === 503,
        MINUTES_5,
        () => stack.log(),
      );
      const { error } = (await (await infer(stack, 'hoard', 5)).json()) as { error: string };
      expect(error).toMatch(/^model "hoard" version 1 cannot be served: quarantined until .*exit code 12/);
      expect((await embed(stack.url, 'encoder-tiny', 'still here')).status).toBe(200);
    },
    MINUTES_5,
  );
});
