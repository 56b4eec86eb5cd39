import { redisAddress } from './redis-address';

describe('redisAddress', () => {
  it.each([
    [null, { path: '/run/redis.sock' }],
    ['redis://example.org', { host: 'example.org', port: 6379 }],
    ['rediss://user:p%40ss@example.org:7000/3', { host: 'example.org', port: 7000, username: 'user', password: 'p@ss', db: 3, tls: {} }],
    ['redis://[::1]:6380', { host: '::1', port: 6380 }],
    ['unix:///run/other%20redis.sock', { path: '/run/other redis.sock' }],
  ])('understands %p', (redisUrl, address) => {
    expect(redisAddress({ redisUrl, privateRedisSocket: '/run/redis.sock' })).toEqual(address);
  });
});
