import { readFileSync } from 'node:fs';
import { ConfigError, type Config } from '@app/config';

interface Tls {
  /** PEM; without it the system's authorities. */
  ca?: string;
}

/** How to reach Redis, in the words of its client. */
export interface RedisAddress {
  path?: string;
  host?: string;
  port?: number;
  username?: string;
  password?: string;
  db?: number;
  tls?: Tls;
  /** These know where it is, in place of `host` and `port`. */
  sentinels?: { host: string; port: number }[];
  name?: string;
  sentinelPassword?: string;
  sentinelTLS?: Tls;
  enableTLSForSentinelMode?: boolean;
}

type RedisConfig = Pick<Config, 'redisUrl' | 'redisSentinels' | 'redisTlsCaFile' | 'privateRedisSocket'>;

const REDIS_PORT = 6379;

/**
 * `redisUrl` as configured (`redis://`, `rediss://`, `unix://`), or the sentinels with its credentials; null: the private Redis on
 * its socket. Throws a `ConfigError` for a file of authorities that cannot be read.
 */
export function redisAddress(config: RedisConfig): RedisAddress {
  if (config.redisUrl === null) return { path: config.privateRedisSocket };
  const url = new URL(config.redisUrl);
  const credentials = {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
  if (url.protocol === 'unix:') return { path: decodeURIComponent(url.pathname), ...credentials };
  const database = url.pathname.slice(1);
  const tls = url.protocol === 'rediss:' ? tlsOf(config.redisTlsCaFile) : null;
  return {
    ...(config.redisSentinels === null ? hostOf(url) : sentinelsOf(config.redisSentinels, tls)),
    ...credentials,
    ...(database === '' ? {} : { db: Number(database) }),
    ...(tls === null ? {} : { tls }),
  };
}

function hostOf(url: URL): RedisAddress {
  // An IPv6 address stands in brackets in a URL, and without them everywhere else.
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? REDIS_PORT : Number(url.port) };
}

function sentinelsOf({ hosts, name, password }: NonNullable<Config['redisSentinels']>, tls: Tls | null): RedisAddress {
  return {
    sentinels: hosts.map(({ host, port }) => ({ host, port })),
    name,
    ...(password === null ? {} : { sentinelPassword: password }),
    ...(tls === null ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  };
}

function tlsOf(caFile: string | null): Tls {
  if (caFile === null) return {};
  try {
    return { ca: readFileSync(caFile, 'utf8') };
  } catch (error) {
    throw new ConfigError(`REDIS_TLS_CA_FILE: ${(error as Error).message}; name a file with the authority of Redis' certificate`);
  }
}
