/** How to reach Redis, in the words of its client. */
export interface RedisAddress {
  path?: string;
  host?: string;
  port?: number;
  username?: string;
  password?: string;
  db?: number;
  tls?: Record<string, never>;
}

const REDIS_PORT = 6379;

/** `redisUrl` as configured (`redis://`, `rediss://`, `unix://`); null: the private Redis on its socket. */
export function redisAddress(config: { redisUrl: string | null; privateRedisSocket: string }): RedisAddress {
  if (config.redisUrl === null) return { path: config.privateRedisSocket };
  const url = new URL(config.redisUrl);
  const credentials = {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
  if (url.protocol === 'unix:') return { path: decodeURIComponent(url.pathname), ...credentials };
  const database = url.pathname.slice(1);
  return {
    // An IPv6 address stands in brackets in a URL, and without them everywhere else.
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? REDIS_PORT : Number(url.port),
    ...credentials,
    ...(database === '' ? {} : { db: Number(database) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  };
}
