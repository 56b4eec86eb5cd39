import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { envoyYaml } from '@app/config';
import { findExecutable } from '@app/system';
import { embed, startLiveLoad } from '../support/live-load';
import { RedisServers } from '../support/redis-servers';
import { freePort, Stack, until } from '../support/stack';

const ENVOY = process.env['ENVOY_BINARY'] ?? findExecutable(['envoy'], process.env['PATH'] ?? '');
const NODES = 3;
const MINUTES_10 = 10 * 60_000;
const MODEL = 'encoder-tiny';
/** Of steady load, before and after what is done to nodes. */
const STEADY_MS = 3_000;

const servedBy = (url: string): Promise<void> =>
  until(
    async () => (await embed(url, MODEL, 'hello')).status === 200,
    60_000,
    () => 'Envoy found no node',
  );

(ENVOY === null ? describe.skip : describe)('three nodes behind Envoy', () => {
  const dir = mkdtempSync(join(tmpdir(), 'il-fleet-'));
  let servers: RedisServers;
  const nodes: Stack[] = [];
  let envoy: ChildProcess;
  let url: string;

  beforeAll(async () => {
    servers = new RedisServers({ tls: false });
    const { port } = await servers.server();
    for (let count = 0; count < NODES; count++)
      nodes.push(await Stack.start({ models: [MODEL], environment: { REDIS_URL: `redis://127.0.0.1:${port}` } }));
    const [httpPort, grpcPort] = [await freePort(), await freePort()];
    const path = join(dir, 'envoy.yaml');
    const addresses = nodes.map((node) => ({ host: '127.0.0.1', port: Number(new URL(node.url).port) }));
    writeFileSync(
      path,
      envoyYaml({ host: '127.0.0.1', port: httpPort, grpcPort, admin: { path: join(dir, 'admin.sock') }, nodes: addresses }),
    );
    envoy = spawn(ENVOY ?? '', ['-c', path, '--disable-hot-restart', '--concurrency', '2', '--log-level', 'error'], { stdio: 'inherit' });
    url = `http://127.0.0.1:${httpPort}`;
    await servedBy(url);
  }, MINUTES_10);

  afterAll(async () => {
    const gone = once(envoy, 'exit');
    envoy.kill('SIGKILL');
    await gone;
    await Promise.all(nodes.map((node) => node.stop()));
    await servers.close();
    rmSync(dir, { recursive: true });
  }, MINUTES_10);

  /** What became of requests while this was done. */
  async function under(work: () => Promise<void>): Promise<{ answered: number; failures: string[] }> {
    const load = startLiveLoad({ concurrency: 4, send: (sequence) => embed(url, MODEL, `request ${sequence}`) });
    await sleep(STEADY_MS);
    await work();
    await sleep(STEADY_MS);
    await load.stop();
    return load.report;
  }

  it(
    'answer all requests while each of them is restarted in turn',
    async () => {
      const { answered, failures } = await under(async () => {
        for (const node of nodes) await node.restart();
      });
      expect([failures, answered > 0]).toEqual([[], true]);
    },
    MINUTES_10,
  );

  it(
    'answer all requests while each of them is lost and comes back',
    async () => {
      const { answered, failures } = await under(async () => {
        for (const node of nodes) {
          await node.lose();
          await sleep(STEADY_MS);
          node.startScheduler();
          await node.ready();
        }
      });
      expect([failures, answered > 0]).toEqual([[], true]);
    },
    MINUTES_10,
  );
});

(ENVOY === null ? describe.skip : describe)('a node with an Envoy of its own', () => {
  let node: Stack;
  let url: string;

  beforeAll(async () => {
    const [port, grpcPort] = [await freePort(), await freePort()];
    url = `http://127.0.0.1:${port}`;
    node = await Stack.start({
      models: [MODEL],
      environment: {
        WITH_ENVOY: '1',
        ENVOY_BINARY: ENVOY ?? '',
        ENVOY_PORT: `${port}`,
        ENVOY_GRPC_PORT: `${grpcPort}`,
        DRAIN_WAIT_MS: '2000',
      },
    });
  }, MINUTES_10);
  afterAll(() => node?.stop());

  it(
    'is reached through it, also after it was killed, and ends within its time',
    async () => {
      await servedBy(url);
      process.kill(await node.pidOf('envoy'), 'SIGKILL');
      await servedBy(url);
      const { headers } = await embed(url, MODEL, 'hello');
      expect(headers.get('endpoint-load-metrics')).toMatch(/^TEXT rps_fractional=/);
      expect(await node.stop()).toBe(0);
    },
    MINUTES_10,
  );
});
