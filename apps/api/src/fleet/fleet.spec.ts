import { rmSync } from 'node:fs';
import { addKey, keyFilePath } from '@app/access';
import { loadConfig, runPaths } from '@app/config';
import type { FleetView } from '@app/contracts';
import { commandProcess, FLEET_COMMAND } from '@app/process';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { GRANT } from '../../../../test/fixtures/key-grant';
import { RedisServers, until } from '../../../../test/support/redis-servers';
import { Lifecycle } from '../lifecycle';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { DISCOVERY_PATH, endpointsFor } from './discovery';
import { Fleet } from './fleet';

const servers = new RedisServers({ tls: false });
const opened: { app: NestFastifyApplication; options: ApiOptions }[] = [];
let redisUrl = '';
beforeAll(async () => void (redisUrl = `redis://127.0.0.1:${(await servers.server()).port}`));
afterEach(async () => {
  for (const { app, options } of opened.splice(0)) {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  }
});
afterAll(() => servers.close());

async function node(settings: NodeJS.ProcessEnv): Promise<{ url: string; app: NestFastifyApplication; options: ApiOptions }> {
  const options = apiOn(new EchoBackend());
  const { dataDir } = options.config;
  const config = loadConfig({ DATA_DIR: dataDir, LOG_LEVEL: 'fatal', PORT: '0', GRPC_PORT: '0', ...settings });
  const app = await createServer({ ...options, config });
  opened.push({ app, options });
  await app.listen(0, '127.0.0.1');
  app.get(Fleet).start();
  return { url: await app.getUrl(), app, options: { ...options, config } };
}

const viewOf = async (url: string): Promise<FleetView> => (await (await fetch(`${url}/fleet`)).json()) as FleetView;
const discover = (url: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url + DISCOVERY_PATH, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });

it('lists all nodes on each, and who drains', async () => {
  const [one, two] = [await node({ REDIS_URL: redisUrl, NODE_ID: 'one' }), await node({ REDIS_URL: redisUrl, NODE_ID: 'two' })];
  const idsOf = async (url: string): Promise<string[]> => (await viewOf(url)).nodes.map(({ id }) => id);
  await until(async () => (await idsOf(one.url)).length === 2 && (await idsOf(two.url)).length === 2);
  expect([await idsOf(one.url), await idsOf(two.url)]).toEqual([
    ['one', 'two'],
    ['two', 'one'],
  ]);
  const [self] = (await viewOf(one.url)).nodes;
  expect(self).toMatchObject({
    state: 'ready',
    models: [{ name: 'echo', version: '1', state: 'ready' }],
    httpPort: Number(new URL(one.url).port),
  });
  two.app.get(Lifecycle).drain();
  await two.app.get(Fleet).drain();
  await until(async () => (await viewOf(one.url)).nodes.some(({ id, state }) => id === 'two' && state === 'draining'));
});

it('is a fleet of one without a shared Redis', async () => {
  const { url, options } = await node({ NODE_ID: 'alone' });
  expect(await viewOf(url)).toMatchObject({ self: 'alone', problem: null, nodes: [{ id: 'alone' }], lost: [] });
  // A proxy on this machine asks by the socket that only its owner may open.
  expect(await commandProcess(runPaths(options.config.runDir).statusSocket('api'), FLEET_COMMAND, {})).toMatchObject({ self: 'alone' });
  const answer = await commandProcess(runPaths(options.config.runDir).statusSocket('api'), DISCOVERY_PATH, {
    resource_names: ['interleave-http'],
  });
  expect(answer).toEqual(await (await discover(url, { resource_names: ['interleave-http'] })).json());
});

it('answers discovery with a version that changes with the nodes only', async () => {
  const { url } = await node({ NODE_ID: 'alone' });
  const asked = { resource_names: ['interleave-http', 'interleave-model-echo', 'interleave-model-none', 'other'] };
  const first = await discover(url, asked);
  const answer = (await first.json()) as { version_info: string; resources: { cluster_name: string; endpoints: unknown[] }[] };
  const endpoint = {
    endpoint: { hostname: '127.0.0.1', address: { socket_address: { address: '127.0.0.1', port_value: Number(new URL(url).port) } } },
    health_status: 'HEALTHY',
  };
  expect(first.status).toBe(200);
  expect(answer.resources.map(({ cluster_name: name, endpoints }) => [name, endpoints])).toEqual([
    ['interleave-http', [{ lb_endpoints: [endpoint] }]],
    ['interleave-model-echo', [{ lb_endpoints: [endpoint] }]],
    ['interleave-model-none', []],
  ]);
  expect((await discover(url, { ...asked, version_info: answer.version_info })).status).toBe(304);
  expect((await discover(url, { ...asked, resource_names: ['interleave-grpc'], version_info: answer.version_info })).status).toBe(200);
});

it.each([
  ['a list', []],
  ['names that are none', { resource_names: [1] }],
  ['clusters', { type_url: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' }],
  ['too many names', { resource_names: new Array(1025).fill('interleave-http') }],
])('refuses to discover %s', async (_what, body) => {
  const { url } = await node({});
  expect((await discover(url, body)).status).toBe(400);
});

it('does not answer discovery before the list was read once, so that proxies keep theirs', async () => {
  const { url } = await node({ REDIS_URL: 'redis://127.0.0.1:1' });
  expect((await discover(url, {})).status).toBe(503);
  expect(await viewOf(url)).toMatchObject({
    ageMs: null,
    nodes: [{ state: 'ready' }],
    problem: expect.stringContaining('Redis') as unknown,
  });
});

it('asks for the key of an operator where keys are asked for', async () => {
  const { url, options } = await node({ ACCESS: 'required' });
  const keyOf = async (isOperator: boolean): Promise<string> =>
    (await addKey(keyFilePath(options.config.dataDir), { ...GRANT, isOperator })).secret;
  const [operator, caller] = [await keyOf(true), await keyOf(false)];
  const statuses = async (headers: Record<string, string>): Promise<number[]> => [
    (await fetch(`${url}/fleet`, { headers })).status,
    (await discover(url, {}, headers)).status,
  ];
  await until(async () => (await statuses({ 'x-api-key': operator }))[0] === 200);
  expect([await statuses({}), await statuses({ 'x-api-key': caller }), await statuses({ 'x-api-key': operator })]).toEqual([
    [401, 401],
    [403, 403],
    [200, 200],
  ]);
});

describe('endpointsFor', () => {
  const self = { id: 'n', ip: '10.0.0.1', address: 'n', httpPort: 1, grpcPort: 2, state: 'ready', models: [] };
  const fleet = (...nodes: object[]) => ({ ageMs: 0, nodes: nodes.map((each) => ({ ...self, ...each })) }) as unknown as FleetView;
  const healthOf = (view: FleetView): string[] =>
    endpointsFor({ resourceNames: ['interleave-grpc'] }, view).resources.flatMap(({ endpoints }) =>
      endpoints.flatMap(({ lb_endpoints: all }) =>
        all.map(({ endpoint, health_status: health }) => `${endpoint.address.socket_address.port_value} ${health}`),
      ),
    );

  it('says which nodes are healthy, and leaves out those without an address', () => {
    expect(
      healthOf(fleet({ id: 'b', state: 'draining' }, { id: 'c', state: 'starting', grpcPort: 3 }, { id: 'a' }, { id: 'd', ip: null })),
    ).toEqual(['2 HEALTHY', '2 DRAINING', '3 UNHEALTHY']);
  });

  it('does not depend on the order in which nodes are known', () => {
    const [one, two] = [{ id: 'a' }, { id: 'b', ip: '10.0.0.2' }];
    expect(endpointsFor({}, fleet(one, two))).toEqual(endpointsFor({}, fleet(two, one)));
    expect(endpointsFor({}, fleet(one, two)).version_info).not.toBe(endpointsFor({}, fleet(one)).version_info);
  });
});
