import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeHistory, NodeView, SupervisedProcessStatus } from '@app/contracts';
import { Stack, until } from '../support/stack';

/** One node through its life: first requests by the command line, deaths of Redis and of the scheduler, Ctrl-C. */
const MODEL = 'encoder-tiny';
const CLI = join(__dirname, '..', '..', 'bin', 'interleave.js');
const DEPLOY = join(__dirname, '..', '..', 'deploy');
const WAIT_MS = 30_000;

let stack: Stack;
/** Home and temporary folder of every process. */
const home = mkdtempSync(join(tmpdir(), 'il-home-'));
/** The scheduler that runs now. */
let up: ChildProcess | null = null;

beforeAll(async () => {
  stack = await Stack.start({ models: [MODEL], environment: { HOME: home, TMPDIR: home } });
});
afterAll(async () => {
  await ended();
  await stack?.stop();
  rmSync(home, { recursive: true, force: true });
});

/** Drains the second scheduler, if it runs. */
async function ended(): Promise<void> {
  const child = up;
  if (child === null || child.exitCode !== null) return;
  child.kill('SIGTERM');
  await until(
    async () => child.exitCode !== null,
    WAIT_MS,
    () => 'the scheduler did not end',
  );
}

const environment = () => ({
  ...process.env,
  DATA_DIR: join(stack.dir, 'data'),
  MODELS_DIR: join(stack.dir, 'models'),
  PORT: new URL(stack.url).port,
  GRPC_PORT: stack.grpcAddress.split(':')[1],
  INTERLEAVE_URL: stack.url,
});
const cli = (...args: string[]) =>
  spawnSync(process.execPath, [CLI, ...args], { cwd: stack.dir, env: environment(), encoding: 'utf8', timeout: WAIT_MS });

const viewOf = async () => (await (await fetch(`${stack.url}/dashboard/view`)).json()) as NodeView;
const historyOf = async () => (await (await fetch(`${stack.url}/dashboard/history?hours=24`)).json()) as NodeHistory;

async function predict(text: string): Promise<number> {
  const response = await fetch(`${stack.url}/v1/models/${MODEL}:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instances: [text] }),
  });
  return response.status;
}

async function allReady(): Promise<SupervisedProcessStatus[]> {
  let processes: SupervisedProcessStatus[] = [];
  await until(
    async () => {
      processes = await stack.processes().catch(() => []);
      return processes.length > 0 && processes.every(({ state }) => state === 'ready');
    },
    WAIT_MS,
    () => `not all ready: ${JSON.stringify(processes)}`,
  );
  return processes;
}

/** Never 0 or less: such a pid would mean this whole process group. */
function send(signal: NodeJS.Signals, pid: number | null | undefined): void {
  if (!pid || pid <= 1) throw new Error(`no process to send ${signal} to`);
  process.kill(pid, signal);
}

const isRunning = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
/** The terminal signals its session; see proc_pid_stat(5). */
function sessionOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3];
}

describe('a node', () => {
  it('answers a live request', async () => {
    expect(await predict('hello world')).toBe(200);
  });

  it("writes nothing outside of its data directory, as ONNX Runtime's telemetry would", () => {
    expect(readdirSync(home, { recursive: true })).toEqual([]);
  });

  it('lists its models on the command line', () => {
    const { stdout, status } = cli('models');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`${MODEL}\\s+1\\s+ready\\s+embedding`));
  });

  it('runs a text file as a batch from the command line, output in order', () => {
    const lines = Array.from({ length: 40 }, (_, index) => `row ${index} of the file`);
    writeFileSync(join(stack.dir, 'rows.txt'), `${lines.join('\n')}\n`);
    const submitted = cli('batch', 'submit', 'rows.txt', '--model', MODEL, '--wait');
    expect({ status: submitted.status, stderr: submitted.stderr }).toMatchObject({ status: 0 });
    const output = readFileSync(join(stack.dir, 'rows.txt.output.jsonl'), 'utf8').trim().split('\n');
    const ids = output.map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);
    expect(ids).toEqual(lines.map((_, index) => `line-${index + 1}`));
    expect(cli('batch', 'list').stdout).toMatch(/batch_\S+\s+completed\s+40\/40\s+0/);
    const id = /batch_\S+/.exec(submitted.stderr)?.[0] ?? '';
    expect(cli('batch', 'watch', id)).toMatchObject({ status: 0, stdout: expect.stringContaining('40 of 40 rows completed') as string });
    expect(cli('batch', 'logs', id).stdout).toMatch(/owner .* has it\n.*status .* in_progress(.*\n)*.*completed: 40 of 40 rows/);
  });

  it('tells by its exit code that a batch failed', () => {
    writeFileSync(
      join(stack.dir, 'bad.jsonl'),
      '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"absent","input":"x"}}\n',
    );
    const { status, stderr } = cli('batch', 'submit', 'bad.jsonl', '--wait');
    expect({ status, stderr }).toMatchObject({ status: expect.any(Number) as number });
    expect(status).not.toBe(0);
  });

  it('is found in order by the doctor', () => {
    const { stdout, status } = cli('doctor');
    expect({ stdout, status }).toMatchObject({ status: 0 });
    expect(stdout).not.toContain('BROKEN');
  });

  it('refuses a second scheduler on its data directory', () => {
    const { status, stderr } = cli('up');
    expect(status).toBe(1);
    expect(stderr).toMatch(/in use by another scheduler/);
  });

  it('answers live requests while Redis is dead, and has it again', async () => {
    const redis = async () => (await allReady()).find(({ id }) => id === 'redis');
    const before = await redis();
    send('SIGKILL', before?.pid);
    expect(await predict('without Redis')).toBe(200);
    await until(
      async () => (await redis())?.pid !== before?.pid,
      WAIT_MS,
      () => 'Redis was not started again',
    );
    expect(await redis()).toMatchObject({ restarts: 1 });
    expect(cli('batch', 'submit', 'rows.txt', '--model', MODEL, '--wait').status).toBe(0);
  });

  it('exposes every metric that the alerts and the dashboard in deploy/ ask for', async () => {
    const exposition = await (await fetch(`${stack.url}/metrics`)).text();
    const exposed = new Set([...exposition.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name ?? ''));
    const asked = ['prometheus/rules.yml', 'grafana/dashboards/interleave.json'].flatMap((path) =>
      [...readFileSync(join(DEPLOY, path), 'utf8').matchAll(/\binterleave_\w+/g)].map(([name]) => name),
    );
    const isExposed = (name: string) => exposed.has(name) || exposed.has(name.replace(/_(bucket|sum|count)$/, ''));
    // Who is alone has no nodes to count.
    expect([...new Set(asked)].filter((name) => !isExposed(name))).toEqual(['interleave_fleet_nodes']);
    expect(asked.length).toBeGreaterThan(10);
  });

  it('says in words that a worker was killed, also by the next scheduler', async () => {
    const killed = 'default-batch was restarted: it was killed (SIGKILL).';
    const told = async () => (await viewOf()).events.filter(({ text }) => text === killed).length;
    expect(await told()).toBe(0);
    send('SIGKILL', (await allReady()).find(({ id }) => id === 'default-batch')?.pid);
    await until(
      async () => (await told()) === 1,
      WAIT_MS,
      () => `not in the events:\n${stack.log().slice(-2000)}`,
    );
    await allReady();
    const says = /Worker default-batch was restarted once in 15 minutes: it was killed/;
    await until(
      async () => says.test((await viewOf()).verdict.text),
      WAIT_MS,
      () => 'not in the verdict',
    );
    const { changes, cpus, workers } = await viewOf();
    expect(changes.map(({ text }) => text)).toContain(killed);
    expect(workers.find(({ id }) => id === 'default-batch')).toMatchObject({ restarts: 1 });
    const shares = cpus.flatMap((cpu) => cpu.shares ?? []);
    expect(shares.length).toBeGreaterThan(0);
    for (const { live, batch, system, idle } of shares) expect(live + batch + system + idle).toBeCloseTo(1, 2);
  });

  it('goes on when its scheduler is killed, and the next scheduler keeps what runs', async () => {
    await until(
      async () => (await historyOf()).points.length > 0,
      2 * WAIT_MS,
      () => 'no point of the history of a day',
    );
    const [point] = (await historyOf()).points;
    const before = await allReady();
    send('SIGKILL', stack.schedulerPid);
    await until(
      async () => !isRunning(stack.schedulerPid),
      WAIT_MS,
      () => 'the scheduler did not die',
    );
    expect(await predict('without a scheduler')).toBe(200);
    up = spawn(process.execPath, [CLI, 'up'], { cwd: stack.dir, env: environment(), stdio: 'ignore' });
    await until(
      async () => (await stack.processes().catch(() => [])).length === before.length,
      WAIT_MS,
      () => 'no new scheduler',
    );
    const pids = (processes: SupervisedProcessStatus[]) => processes.map(({ id, pid }) => ({ id, pid }));
    expect(pids(await allReady())).toEqual(pids(before));
    expect((await historyOf()).points[0]).toEqual(point);
    await until(
      async () => (await viewOf()).events.some(({ text }) => text.startsWith('default-batch was restarted')),
      WAIT_MS,
      () => 'the events are gone',
    );
  });

  it('drains on Ctrl-C, which reaches every process, and leaves nothing behind', async () => {
    const processes = await allReady();
    for (const pid of [up?.pid, ...processes.map(({ pid }) => pid).filter((pid) => sessionOf(pid ?? 0) === sessionOf(process.pid))])
      send('SIGINT', pid);
    await until(
      async () => up?.exitCode !== null,
      WAIT_MS,
      () => 'the scheduler did not end',
    );
    expect(up?.exitCode).toBe(0);
    expect(processes.filter(({ pid }) => isRunning(pid ?? 0))).toEqual([]);
    await expect(fetch(`${stack.url}/v2/health/live`)).rejects.toThrow();
  });
});
