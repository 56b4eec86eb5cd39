import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Stack } from '../../test/support/stack';
import { SeededRandom } from '../../test/support/tensors';
import { OpenLoop, type Outcome } from '../online/open-loop';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { LENGTH_MIXES } from '../support/lengths';
import { quantile } from '../support/statistics';

/**
 * Two tenants with weights 3:1 that each ask for more than the node can do, with rows of different length, and a third
 * one with a few requests a second: alone, beside callers that wait for their answers, and beside an open loop of three
 * times the capacity. One run; executor time is what the node measured.
 */
const MODEL = 'encoder-small';
const WEIGHTS = { heavy: 3, other: 1, light: 1 };
type Tenant = keyof typeof WEIGHTS;
const MIXES: Record<Tenant, string> = { heavy: 'lognormal, median 40', other: 'short, median 14', light: 'short, median 14' };
const CALLERS = 64;
const LIGHT_PER_SECOND = 1;
/** After a refusal: sooner than `Retry-After` says, but not at once. */
const REFUSED_PAUSE_MS = 100;
const OVERLOAD = 3;
const WARM_MS = 6_000;
const STEP_MS = 30_000;
const SEED = 29;
const OUTPUT = 'sentence_embedding';
/** Where a light request may wait: see `liveTiming`. */
const STAGES = ['enqueue', 'coalesce', 'run'];
const RATIO_TOLERANCE = 0.1;

interface Part {
  name: string;
  /** Executor seconds of each tenant, and the first two's ratio ÷ 3. */
  seconds: Record<Tenant, number>;
  ratioOfWeights: number;
  light: { answered: number; failed: number; p50Ms: number; p99Ms: number; stagesP50Ms: Record<string, number> };
  /** Of the heavy tenants' requests. */
  statuses: Record<string, number>;
  answeredPerSecond: Record<Tenant, number>;
}

class Node {
  private constructor(
    private readonly stack: Stack,
    private readonly operatorKey: string,
    private readonly requests: Record<Tenant, Buffer[]>,
  ) {}

  static async start(): Promise<Node> {
    const stack = await Stack.start({ models: [MODEL], config: JSON.stringify({ realtime: { timeoutMs: 4000 } }) });
    const operatorKey = addKey(stack, ['--tenant', 'operator', '--operator']);
    const random = new SeededRandom(SEED);
    const of = (tenant: Tenant): Buffer[] => {
      const headers = { authorization: `Bearer ${addKey(stack, ['--tenant', tenant, '--weight', String(WEIGHTS[tenant])])}` };
      const lengthOf = LENGTH_MIXES[MIXES[tenant]] ?? (() => 16);
      return Array.from({ length: 500 }, () => {
        const ids = Array.from({ length: lengthOf(random) }, () => random.integer(1, 1000));
        return infer({ model: MODEL, ids, output: OUTPUT, headers });
      });
    };
    return new Node(stack, operatorKey, { heavy: of('heavy'), other: of('other'), light: of('light') });
  }

  stop(): Promise<unknown> {
    return this.stack.stop();
  }

  /** Measures the tenants' executor time and the light one's latency while the others do `load`. */
  async measure(name: string, load: (until: AbortSignal) => Promise<[Outcome[], Outcome[]]>): Promise<Part> {
    const end = new AbortController();
    const heavy = load(end.signal);
    await new Promise((resolve) => setTimeout(resolve, WARM_MS));
    const before = await this.executorSeconds();
    const startMs = performance.now();
    const light = await this.lightLoop();
    const after = await this.executorSeconds();
    const seconds = (performance.now() - startMs) / 1000;
    end.abort();
    const outcomes = await heavy;
    return partOf(name, { before, after, seconds, startMs, light, outcomes });
  }

  /** One request after the other, on a connection of its own, with where the time went as the server tells it. */
  private async lightLoop(): Promise<LightOutcome[]> {
    const random = new SeededRandom(SEED);
    const connection = await HttpConnection.open(this.stack.url);
    const outcomes: LightOutcome[] = [];
    const endMs = performance.now() + STEP_MS;
    for (let i = 0; performance.now() < endMs; i++) {
      await new Promise((resolve) => setTimeout(resolve, (2 * random.next() * 1000) / LIGHT_PER_SECOND));
      const dueMs = performance.now();
      const { status, head } = await connection.send(this.requests.light[i % 500] ?? Buffer.alloc(0));
      const latencyMs = performance.now() - dueMs;
      outcomes.push({ status, dueMs, latencyMs, serviceMs: latencyMs, stages: stagesOf(head) });
    }
    connection.close();
    return outcomes;
  }

  openLoop(tenant: Tenant, perSecond: number, durationMs: number, signal?: AbortSignal): Promise<Outcome[]> {
    const loop = new OpenLoop(this.stack.url);
    const options = { perSecond, durationMs, random: new SeededRandom(SEED), ...(signal === undefined ? {} : { signal }) };
    return loop.run(this.requests[tenant], options).finally(() => loop.close());
  }

  /** Callers that each wait for an answer before they ask again. */
  async closedLoop(tenant: Tenant, signal: AbortSignal): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    const caller = async (first: number): Promise<void> => {
      const connection = await HttpConnection.open(this.stack.url);
      for (let i = first; !signal.aborted; i += CALLERS) {
        const dueMs = performance.now();
        const { status } = await connection.send(this.requests[tenant][i % 500] ?? Buffer.alloc(0));
        if (status !== 200) await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
        outcomes.push({ status, dueMs, latencyMs: performance.now() - dueMs, serviceMs: performance.now() - dueMs });
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: CALLERS }, (_, i) => caller(i)));
    return outcomes;
  }

  private async executorSeconds(): Promise<Record<Tenant, number>> {
    const response = await fetch(`${this.stack.url}/metrics`, { headers: { authorization: `Bearer ${this.operatorKey}` } });
    const text = await response.text();
    const of = (tenant: Tenant): number =>
      Number(new RegExp(`^interleave_tenant_executor_seconds_total\\{tenant="${tenant}"\\} (.*)$`, 'm').exec(text)?.[1] ?? 0);
    return { heavy: of('heavy'), other: of('other'), light: of('light') };
  }
}

interface LightOutcome extends Outcome {
  /** Milliseconds. */
  stages: Record<string, number>;
}

function stagesOf(head: string): Record<string, number> {
  const line = /\r\nserver-timing: ([^\r]*)/i.exec(head)?.[1] ?? '';
  return Object.fromEntries([...line.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, stage, ms]) => [stage, Number(ms)]));
}

function addKey({ dir }: Stack, options: string[]): string {
  const cli = join(__dirname, '..', '..', '..', 'bin', 'interleave.js');
  const env = { ...process.env, DATA_DIR: join(dir, 'data') };
  return execFileSync(process.execPath, [cli, 'keys', 'add', ...options], { env, cwd: dir, encoding: 'utf8' }).trim();
}

interface Measured {
  before: Record<Tenant, number>;
  after: Record<Tenant, number>;
  seconds: number;
  startMs: number;
  light: LightOutcome[];
  outcomes: [Outcome[], Outcome[]];
}

function partOf(name: string, { before, after, seconds, startMs, light, outcomes }: Measured): Part {
  const used = { heavy: after.heavy - before.heavy, other: after.other - before.other, light: after.light - before.light };
  const latencies = light.filter(({ status }) => status === 200).map(({ latencyMs }) => latencyMs);
  const statuses: Record<string, number> = {};
  for (const { status } of outcomes.flat()) statuses[status] = (statuses[status] ?? 0) + 1;
  const perSecond = (of: Outcome[]): number => {
    const answered = of.filter(({ status, dueMs }) => status === 200 && dueMs >= startMs && dueMs < startMs + seconds * 1000);
    return answered.length / seconds;
  };
  return {
    name,
    seconds: used,
    ratioOfWeights: used.heavy / used.other / (WEIGHTS.heavy / WEIGHTS.other),
    light: {
      answered: latencies.length,
      failed: light.length - latencies.length,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      stagesP50Ms: Object.fromEntries(
        STAGES.map((stage) => [
          stage,
          quantile(
            light.map(({ stages }) => stages[stage] ?? NaN),
            0.5,
          ),
        ]),
      ),
    },
    statuses,
    answeredPerSecond: { heavy: perSecond(outcomes[0]), other: perSecond(outcomes[1]), light: perSecond(light) },
  };
}

async function main(): Promise<void> {
  const node = await Node.start();
  try {
    const alone = await node.measure('alone', async () => [[], []]);
    const closed = await node.measure('callers that wait', (until) =>
      Promise.all([node.closedLoop('heavy', until), node.closedLoop('other', until)]),
    );
    const { heavy, other } = closed.answeredPerSecond;
    const longMs = WARM_MS + 2 * STEP_MS;
    const open = await node.measure(`open loop of ${OVERLOAD} times the capacity`, (until) =>
      Promise.all([
        node.openLoop('heavy', (OVERLOAD / 2) * (heavy + other), longMs, until),
        node.openLoop('other', (OVERLOAD / 2) * (heavy + other), longMs, until),
      ]),
    );
    report([alone, closed, open]);
  } finally {
    await node.stop();
  }
}

function report(parts: Part[]): void {
  const [alone] = parts;
  console.table(
    parts.map(({ name, seconds, ratioOfWeights, light, statuses, answeredPerSecond }) => ({
      load: name,
      'executor s 3:1': `${seconds.heavy.toFixed(2)} : ${seconds.other.toFixed(2)}`,
      'ratio ÷ 3': ratioOfWeights.toFixed(3),
      'light p50 ms': light.p50Ms.toFixed(1),
      'light p99 ms': light.p99Ms.toFixed(1),
      'p50 ÷ alone': (light.p50Ms / (alone?.light.p50Ms ?? NaN)).toFixed(2),
      'p99 ÷ alone': (light.p99Ms / (alone?.light.p99Ms ?? NaN)).toFixed(2),
      'light failed': light.failed,
      'light stages, p50 ms': JSON.stringify(light.stagesP50Ms),
      'per second': `${answeredPerSecond.heavy.toFixed(1)} + ${answeredPerSecond.other.toFixed(1)}`,
      statuses: JSON.stringify(statuses),
    })),
  );
  console.log(`limit: ratio ÷ 3 within ${RATIO_TOLERANCE} of 1`);
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = {
    model: MODEL,
    callers: CALLERS,
    mixes: MIXES,
    stepMs: STEP_MS,
    seed: SEED,
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
  };
  writeFileSync(join('bench', 'results', 'tenants.json'), `${JSON.stringify({ ...conditions, parts }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
