import { resolve } from 'node:path';
import type { z } from 'zod';
import { ConfigError } from './config-error';
import type { environmentSchema } from './schema';

type Environment = z.infer<typeof environmentSchema>;

/** The proxy beside this node. */
export interface EnvoyConfig {
  /** At `host`. */
  readonly port: number;
  readonly grpcPort: number;
  /** Absolute; null: `envoy` in PATH. */
  readonly binary: string | null;
}

/** How a node ends. */
export interface DrainConfig {
  /** From "not ready" to refusing, so that who balances has seen it. */
  readonly drainWaitMs: number;
  /** From the signal to the end of all processes but Redis, the wait included. */
  readonly drainTimeoutMs: number;
}

/** Proxies look once a second, and DNS and ingresses take a little longer. */
const DRAIN_WAIT_MS = 5_000;

export function envoyConfig(env: Environment): EnvoyConfig | null {
  if (env.WITH_ENVOY === '0') return null;
  return { port: env.ENVOY_PORT, grpcPort: env.ENVOY_GRPC_PORT, binary: env.ENVOY_BINARY === undefined ? null : resolve(env.ENVOY_BINARY) };
}

/** `isAlone`: nobody else takes the requests of this node. */
export function drainConfig(env: Environment, isAlone: boolean): DrainConfig {
  const drainWaitMs = env.DRAIN_WAIT_MS ?? (isAlone ? 0 : DRAIN_WAIT_MS);
  const drainTimeoutMs = env.DRAIN_TIMEOUT_MS;
  if (drainWaitMs >= drainTimeoutMs)
    throw new ConfigError(
      `DRAIN_WAIT_MS: expected less than DRAIN_TIMEOUT_MS (${drainTimeoutMs}), which it is part of, but received ${drainWaitMs}; lower it or raise the other`,
    );
  return { drainWaitMs, drainTimeoutMs };
}
