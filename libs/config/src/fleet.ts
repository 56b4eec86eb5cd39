import { createHash } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { ConfigError } from './config-error';
import type { environmentSchema } from './schema';

type Environment = z.infer<typeof environmentSchema>;

/** Who knows where Redis is now. */
export interface RedisSentinels {
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly name: string;
  /** Of the sentinels; null: they ask for none. */
  readonly password: string | null;
}

/** How the shared Redis is reached. */
export interface SharedRedis {
  /** With sentinels its host and port mean nothing. Null: the scheduler runs a private Redis. */
  readonly redisUrl: string | null;
  readonly redisSentinels: RedisSentinels | null;
  /** Absolute; null: the system's authorities. */
  readonly redisTlsCaFile: string | null;
}

const EVERY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

export function sharedRedis(env: Environment): SharedRedis {
  const { REDIS_SENTINELS: hosts, REDIS_SENTINEL_NAME: name, REDIS_SENTINEL_PASSWORD: password, REDIS_TLS_CA_FILE: caFile } = env;
  const redisUrl = env.REDIS_URL ?? (hosts === undefined ? null : 'redis://sentinels');
  if (hosts !== undefined && redisUrl?.startsWith('unix:'))
    throw new ConfigError('REDIS_URL: expected redis:// or rediss:// beside REDIS_SENTINELS but received unix://; leave out one of them');
  if (caFile !== undefined && !redisUrl?.startsWith('rediss:'))
    throw new ConfigError(
      'REDIS_TLS_CA_FILE: expected a REDIS_URL with rediss://, without which there is no TLS; set it, or leave out the file',
    );
  return {
    redisUrl,
    redisSentinels: hosts === undefined ? null : { hosts, name, password: password ?? null },
    redisTlsCaFile: caFile === undefined ? null : resolve(caFile),
  };
}

/** Two nodes of one machine have two data directories. */
export function nodeId(env: Environment, dataDir: string): string {
  if (env.NODE_ID !== undefined) return env.NODE_ID;
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .slice(0, 48);
  return `${name}-${createHash('sha256').update(dataDir).digest('hex').slice(0, 8)}`;
}

export function nodeAddress({ NODE_ADDRESS, HOST }: Environment): string {
  if (NODE_ADDRESS !== undefined) return NODE_ADDRESS;
  return EVERY_ADDRESS.has(HOST) ? addressOfMachine() : HOST;
}

/** The first that others can use. */
function addressOfMachine(): string {
  const outer = Object.values(networkInterfaces()).flatMap((own) => own?.filter(({ internal, scopeid }) => !internal && !scopeid) ?? []);
  return (outer.find(({ family }) => family === 'IPv4') ?? outer[0])?.address ?? hostname();
}
