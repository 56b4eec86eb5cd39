import { loadConfig } from '@app/config';
import { redisAddress } from './redis-address';

const addressOf = (environment: NodeJS.ProcessEnv) =>
  redisAddress(loadConfig({ DATA_DIR: '/tmp/d', RUN_DIR: '/run/interleave', ...environment }));

describe('redisAddress', () => {
  it.each([
    [{}, { path: '/run/interleave/redis.sock' }],
    [{ REDIS_URL: 'redis://example.org' }, { host: 'example.org', port: 6379 }],
    [
      { REDIS_URL: 'rediss://user:p%40ss@example.org:7000/3' },
      { host: 'example.org', port: 7000, username: 'user', password: 'p@ss', db: 3, tls: {} },
    ],
    [{ REDIS_URL: 'redis://[::1]:6380' }, { host: '::1', port: 6380 }],
    [{ REDIS_URL: 'unix:///run/other%20redis.sock' }, { path: '/run/other redis.sock' }],
    [
      { REDIS_SENTINELS: 'one, [::1]:7,10.0.0.3:26380' },
      {
        sentinels: [
          { host: 'one', port: 26379 },
          { host: '::1', port: 7 },
          { host: '10.0.0.3', port: 26380 },
        ],
        name: 'mymaster',
      },
    ],
    [
      { REDIS_SENTINELS: 'one', REDIS_SENTINEL_NAME: 'il', REDIS_SENTINEL_PASSWORD: 's', REDIS_URL: 'rediss://u:p@x:1/2' },
      {
        sentinels: [{ host: 'one', port: 26379 }],
        name: 'il',
        sentinelPassword: 's',
        sentinelTLS: {},
        enableTLSForSentinelMode: true,
        username: 'u',
        password: 'p',
        db: 2,
        tls: {},
      },
    ],
  ])('understands %j', (environment, address) => {
    expect(addressOf(environment as NodeJS.ProcessEnv)).toEqual(address);
  });

  it.each([
    [{ REDIS_SENTINELS: 'one:x' }, /REDIS_SENTINELS: expected at most 16 of host:port .* but received one:x/],
    [{ REDIS_SENTINELS: 'one:0' }, /REDIS_SENTINELS/],
    [{ REDIS_SENTINELS: '' }, /REDIS_SENTINELS/],
    [{ REDIS_SENTINELS: 'one', REDIS_URL: 'unix:///x' }, /expected redis:\/\/ or rediss:\/\/ beside REDIS_SENTINELS/],
    [{ REDIS_TLS_CA_FILE: '/x', REDIS_URL: 'redis://x' }, /REDIS_TLS_CA_FILE: expected a REDIS_URL with rediss:\/\//],
    [{ REDIS_TLS_CA_FILE: '/x' }, /REDIS_TLS_CA_FILE/],
    [{ REDIS_TLS_CA_FILE: '/nowhere/ca.pem', REDIS_URL: 'rediss://x' }, /REDIS_TLS_CA_FILE: .*ENOENT/],
  ])('refuses %j', (environment, message) => {
    expect(() => addressOf(environment as NodeJS.ProcessEnv)).toThrow(message);
  });
});
