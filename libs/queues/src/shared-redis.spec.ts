import { loadConfig } from '@app/config';
import { REDIS_PASSWORD, RedisServers, until, type StartedRedis } from '../../../test/support/redis-servers';
import { BatchQueues } from './batch-queues';
import { CONSUMER_OPTIONS, BATCH_QUEUE, openRedis, PatientConsumer, queueOptions } from './bull';
import { redisAddress } from './redis-address';

const URL_PASSWORD = encodeURIComponent(REDIS_PASSWORD);
const onError = (): void => undefined;
let servers: RedisServers;
beforeEach(() => (servers = new RedisServers({ tls: true })));
afterEach(() => servers.close());

const optionsOf = (environment: NodeJS.ProcessEnv) => ({
  address: redisAddress(loadConfig({ DATA_DIR: '/tmp/d', ...environment })),
  instanceId: 'test',
  onError,
});

it('is reached over TLS with a password, and only where its authority is trusted', async () => {
  const { port } = await servers.server();
  const REDIS_URL = `rediss://:${URL_PASSWORD}@127.0.0.1:${port}/1`;
  const trusting = new BatchQueues(optionsOf({ REDIS_URL, REDIS_TLS_CA_FILE: servers.caFile ?? '' }));
  const errors: string[] = [];
  const others = [{ REDIS_URL }, { REDIS_URL: REDIS_URL.replace(URL_PASSWORD, 'wrong'), REDIS_TLS_CA_FILE: servers.caFile ?? '' }].map(
    (environment) => new BatchQueues({ ...optionsOf(environment), onError: (error) => errors.push(error.message) }),
  );
  await until(() => trusting.isReady());
  await trusting.addBatches(['batch-1']);
  await until(() => errors.some((text) => /certificate/.test(text)) && errors.some((text) => /WRONGPASS/.test(text)));
  expect(others.map((queues) => queues.isReady())).toEqual([false, false]);
  await Promise.all([trusting, ...others].map((queues) => queues.close()));
});

describe('with sentinels, over TLS and with passwords', () => {
  let primary: StartedRedis;
  let replica: StartedRedis;
  let queues: BatchQueues;
  let consumer: PatientConsumer;
  let close: () => Promise<void>;
  const seen = new Set<string>();

  beforeEach(async () => {
    primary = await servers.server();
    replica = await servers.server({ replicaOf: primary });
    const sentinel = await servers.sentinel(primary);
    const options = optionsOf({
      REDIS_URL: `rediss://:${URL_PASSWORD}@anything`,
      REDIS_TLS_CA_FILE: servers.caFile ?? '',
      REDIS_SENTINELS: `127.0.0.1:${sentinel.port}`,
      REDIS_SENTINEL_PASSWORD: REDIS_PASSWORD,
    });
    await until(() =>
      servers.command(sentinel, async (redis) => ((await redis.call('SENTINEL', 'replicas', 'mymaster')) as unknown[]).length === 1),
    );
    await until(() => servers.command(replica, async (redis) => (await redis.info('replication')).includes('master_link_status:up')));
    queues = new BatchQueues(options);
    const redis = openRedis(options);
    consumer = new PatientConsumer(BATCH_QUEUE, async ({ data }) => void seen.add(data.batchId), {
      ...queueOptions(redis, options),
      ...CONSUMER_OPTIONS,
    });
    consumer.on('error', onError);
    await until(() => queues.isReady());
    await worked('before');
    close = async () => {
      await queues.close();
      await consumer.close(true);
      redis.disconnect();
    };
    failover = () => servers.command(sentinel, (connection) => connection.call('SENTINEL', 'failover', 'mymaster'));
  });
  afterEach(() => close());
  let failover: () => Promise<unknown>;

  /** A job that is added now, perhaps after some tries, is worked on. */
  async function worked(batchId: string): Promise<void> {
    await until(() =>
      queues.addBatches([batchId]).then(
        () => true,
        () => false,
      ),
    );
    await until(() => seen.has(batchId));
  }
  const isPrimary = (server: StartedRedis): Promise<boolean> =>
    servers.command(server, async (redis) => (await redis.info('replication')).includes('role:master'));

  it('queues and consumers go on when the primary is killed', async () => {
    await servers.kill(primary);
    await worked('after');
    expect(await isPrimary(replica)).toBe(true);
  });

  it('queues and consumers leave a primary that becomes a replica', async () => {
    await failover();
    await until(async () => (await isPrimary(replica)) && !(await isPrimary(primary)));
    await worked('after the change');
  });
});
