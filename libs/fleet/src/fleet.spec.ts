import { FORMAT_VERSIONS, type NodeHeartbeat } from '@app/contracts';
import { openRedis, redisAddress, type Redis } from '@app/queues';
import { createLogger } from '@app/telemetry';
import { RedisServers, until, type StartedRedis } from '../../../test/support/redis-servers';
import { FleetList } from './fleet-list';
import { FleetMember, type FleetMemberOptions } from './fleet-member';
import { fleetKeys, HEARTBEAT_LIFE_MS } from './keys';

type Described = Awaited<ReturnType<FleetMemberOptions['describe']>>;

let servers: RedisServers;
let server: StartedRedis;
const opened: Redis[] = [];
const closing: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  servers = new RedisServers({ tls: false });
  server = await servers.server();
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  for (const redis of opened.splice(0)) redis.disconnect();
  await servers.close();
});

function connect(): Redis {
  const address = redisAddress({
    redisUrl: `redis://127.0.0.1:${server.port}`,
    redisSentinels: null,
    redisTlsCaFile: null,
    privateRedisSocket: '',
  });
  const redis = openRedis({ address, onError: () => undefined });
  opened.push(redis);
  return redis;
}
const ready = (redis: Redis): Promise<void> => until(() => redis.status === 'ready');

const DESCRIBED: Described = {
  address: 'node.internal',
  ip: '10.0.0.1',
  httpPort: 8080,
  grpcPort: 8081,
  tls: false,
  version: '0.1.0',
  formatVersions: FORMAT_VERSIONS,
  state: 'ready',
  reason: null,
  stateSinceMs: 1,
  models: [{ name: 'm', version: '1', state: 'ready' }],
  liveBacklogMs: 1.5,
  utilization: 0.5,
  partitions: [{ id: 'p', class: 'burstable', cpus: 2 }],
  batch: null,
  warnings: [],
};

async function member(id: string, bootId: string, described: Partial<Described> = {}): Promise<FleetMember> {
  const redis = connect();
  await ready(redis);
  const describe = async (): Promise<Described> => ({ ...DESCRIBED, ...described });
  const made = new FleetMember({ redis, fleet: 'test', id, bootId, log: createLogger('test', 'fatal'), describe });
  closing.push(() => made.leave());
  return made;
}

async function list(): Promise<FleetList> {
  const redis = connect();
  const made = new FleetList(redis, 'test');
  closing.push(() => made.close());
  await ready(redis);
  return made;
}
const nodesOf = async (of: FleetList): Promise<[string, string][]> =>
  (await of.current()).nodes.map(({ id, state }): [string, string] => [id, state]).sort();
const keys = fleetKeys('test');
/** As a node that ended long enough ago. */
const expire = (id: string): Promise<unknown> => servers.command(server, (redis) => redis.del(keys.nodePrefix + id));

it('lists what nodes say of themselves, for as long as they say it', async () => {
  const fleet = await list();
  (await member('a', 'boot-a')).start();
  await until(async () => (await nodesOf(fleet)).length === 1);
  expect((await fleet.current()).nodes).toEqual([{ ...DESCRIBED, id: 'a', bootId: 'boot-a' }]);
  const [node, last, seen] = await servers.command(server, (redis) => Promise.all(keys.of('a').map((key) => redis.pttl(key))));
  expect(node).toBeGreaterThan(0);
  expect(node).toBeLessThanOrEqual(HEARTBEAT_LIFE_MS);
  expect([(last ?? 0) > HEARTBEAT_LIFE_MS, seen]).toEqual([true, -1]);
});

it('tells nodes that left from nodes that were lost', async () => {
  const lost = await member('lost', 'b2', { state: 'draining' });
  const connectionOfLost = opened.at(-1);
  const leaving = await member('leaving', 'b1');
  for (const each of [leaving, lost]) each.start();
  const fleet = await list();
  await until(async () => (await nodesOf(fleet)).length === 2);
  await leaving.leave();
  connectionOfLost?.disconnect();
  await expire('lost');
  // One that knew them, and one that knows nothing of before.
  await until(async () => (await nodesOf(fleet)).length === 0);
  const view = await (await list()).current();
  expect([view.nodes, view.lost.map(({ id, last }) => [id, last?.state])]).toEqual([[], [['lost', 'draining']]]);
});

it('gives the later one of two nodes with one id another id, and says so', async () => {
  const fleet = await list();
  (await member('same', 'first-boot')).start();
  await until(async () => (await nodesOf(fleet)).length === 1);
  const later = await member('same', 'second-boot');
  later.start();
  await until(async () => (await nodesOf(fleet)).length === 2);
  expect(later.self?.id).toBe('same-second');
  expect(later.self?.warnings).toEqual([expect.stringContaining('give each node an id of its own')]);
  expect((await nodesOf(fleet)).map(([id]) => id)).toEqual(['same', 'same-second']);
});

it('lets another process of the node take over from one that drains', async () => {
  const state = { now: 'ready' as NodeHeartbeat['state'] };
  const redis = connect();
  await ready(redis);
  const describe = async (): Promise<Described> => ({ ...DESCRIBED, state: state.now });
  const first = new FleetMember({ redis, fleet: 'test', id: 'a', bootId: 'boot', log: createLogger('test', 'fatal'), describe });
  const fleet = await list();
  first.start();
  await until(async () => (await nodesOf(fleet)).length === 1);
  state.now = 'draining';
  await first.drain();
  await until(async () => (await nodesOf(fleet))[0]?.[1] === 'draining');
  const second = await member('a', 'boot', { httpPort: 9999 });
  second.start();
  await until(async () => (await fleet.current()).nodes[0]?.httpPort === 9999);
  await first.drain();
  await first.leave();
  const fresh = await list();
  expect((await fresh.current()).nodes.map(({ id, httpPort, state: is }) => [id, httpPort, is])).toEqual([['a', 9999, 'ready']]);
});

it.each([
  ['no JSON', 'hello'],
  ['other JSON', '[1]'],
  ['another id', JSON.stringify({ ...DESCRIBED, id: 'b', bootId: 'x' })],
  ['an address that is none', JSON.stringify({ ...DESCRIBED, id: 'bad', bootId: 'x', address: 'a b\n' })],
  ['a state that is not known', JSON.stringify({ ...DESCRIBED, id: 'bad', bootId: 'x', state: 'flying' })],
  ['far too much', JSON.stringify({ ...DESCRIBED, id: 'bad', bootId: 'x', reason: 'x'.repeat(100_000) })],
])('does not stumble over a heartbeat with %s', async (_what, text) => {
  await servers.command(server, (redis) =>
    Promise.all([redis.set(`${keys.nodePrefix}bad`, text), redis.zadd(keys.seen, Date.now(), 'bad'), redis.zadd(keys.seen, 9e15, 'later')]),
  );
  (await member('good', 'boot')).start();
  const fleet = await list();
  await until(async () => (await nodesOf(fleet)).length === 1);
  expect([await nodesOf(fleet), (await fleet.current()).unreadable]).toEqual([[['good', 'ready']], 1]);
});

it('does not stumble over keys of other types, and takes them over', async () => {
  await servers.command(server, async (redis) => {
    await redis.set(keys.seen, 'x');
    await redis.lpush(`${keys.nodePrefix}a`, 'x');
    await redis.lpush(`${keys.lastPrefix}a`, 'x');
  });
  const fleet = await list();
  expect((await fleet.current()).problem).toBeNull();
  (await member('a', 'boot')).start();
  await until(async () => (await nodesOf(fleet)).length === 1);
});

it('keeps what is known of a newer release, and drops what is not', async () => {
  const newer = {
    ...DESCRIBED,
    id: 'new',
    bootId: 'x',
    formatVersions: { manifest: 7 },
    batch: { odd: true },
    models: 'none',
    future: { a: 1 },
  };
  await servers.command(server, (redis) =>
    Promise.all([redis.set(`${keys.nodePrefix}new`, JSON.stringify(newer)), redis.zadd(keys.seen, Date.now(), 'new')]),
  );
  const [node] = (await (await list()).current()).nodes;
  expect([node?.id, node?.formatVersions, node?.batch, node?.models]).toEqual(['new', { manifest: 7 }, null, []]);
  expect(node).not.toHaveProperty('future');
});

it('serves what it knew while Redis is away, and gives nodes time to speak once it is back without data', async () => {
  (await member('a', 'boot')).start();
  const fleet = await list();
  await until(async () => (await nodesOf(fleet)).length === 1);
  await servers.kill(server);
  await until(async () => (await fleet.current()).problem !== null);
  expect(await nodesOf(fleet)).toEqual([['a', 'ready']]);
  server = await servers.server({ port: server.port });
  await until(async () => (await fleet.current()).problem === null);
  expect(await nodesOf(fleet)).toEqual([['a', 'ready']]);
  await until(() => servers.command(server, async (redis) => (await redis.exists(`${keys.nodePrefix}a`)) === 1));
});

it('says that nothing is known before Redis was reached', async () => {
  await servers.kill(server);
  const fleet = new FleetList(connect(), 'test');
  closing.push(() => fleet.close());
  expect(await fleet.current()).toMatchObject({ nodes: [], readMs: null, problem: expect.stringContaining('Redis') as unknown });
});
