import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { LANES, type LogLevel, type TracingConfig } from '@app/contracts';
import { drainConfig, envoyConfig, type DrainConfig, type EnvoyConfig } from './balancing';
import { ConfigError } from './config-error';
import { withPresentNames, type PresentNames } from './former-names';
import { nodeAddress, nodeId, sharedRedis, type SharedRedis } from './fleet';
import { tlsConfig, type TlsConfig } from './tls';
import { environmentSchema, fileSchema, type FileConfig, type ProcessKind } from './schema';
import { tracingConfig } from './tracing';
import { bucketEndpoint, storageLocation, type BucketLocation, type StorageLocation } from './storage-location';

export type { DrainConfig, EnvoyConfig } from './balancing';
export { envoyYaml, type EnvoyAddress, type EnvoyOptions } from './envoy-yaml';
export { ConfigError } from './config-error';
export { withPresentNames } from './former-names';
export type { OidcConfig, TenantQuota } from './access-schema';
export { sourceSettings, type SourceSettings } from './source-settings';
export type { BucketLocation, StorageLocation } from './storage-location';
export type { RedisSentinels, SharedRedis } from './fleet';
export { memorySize, NODE_ADDRESS, NODE_ID, PROCESS_KINDS, type FileConfig, type ProcessKind } from './schema';
export { WEBHOOK_EVENTS, type WebhookConfig, type WebhookEvent } from './webhook-schema';
export { clientTls, type ClientTls, type TlsConfig } from './tls';

/** Everything a process may know about how it was configured; frozen. Paths are absolute. */
export interface Config extends Omit<FileConfig, 'tls'>, SharedRedis, DrainConfig {
  readonly host: string;
  readonly port: number;
  /** Null: callers speak plain HTTP. */
  readonly tls: TlsConfig | null;
  /** Where a container's port is published; null: at `host`. */
  readonly publishedHost: string | null;
  readonly grpcPort: number;
  readonly dataDir: string;
  readonly modelsDir: string;
  readonly storage: StorageLocation;
  /** Of `batch.inputBuckets`; null: the AWS SDK knows where to go. */
  readonly inputEndpoint: BucketLocation['endpoint'];
  readonly runDir: string;
  /** Where the scheduler's own Redis listens, where it runs one. */
  readonly privateRedisSocket: string;
  /** Nodes that share a Redis and this name are one fleet. */
  readonly fleetName: string;
  /** A file with a key that the other nodes know; null: they ask for none. */
  readonly fleetKeyFile: string | null;
  /** Null: the system's authorities. */
  readonly fleetCaFile: string | null;
  readonly nodeId: string;
  /** Name or address at which others reach this node. */
  readonly nodeAddress: string;
  /** Null: the scheduler runs none. */
  readonly envoy: EnvoyConfig | null;
  /** Null: the library that comes with onnxruntime-node. */
  readonly ortLibraryPath: string | null;
  /** At the start; an operator may change it later. */
  readonly logLevel: LogLevel;
  /** Null: nothing is traced. */
  readonly tracing: TracingConfig | null;
  /** What the scheduler of this node starts and looks after. */
  readonly processes: readonly ProcessKind[];
  /** Folders for programs, in the form of PATH. */
  readonly searchPath: string;
  /** A scheduler started this process and ends it with SIGTERM; a SIGINT of the terminal is not for it. */
  readonly supervised: boolean;
  /** The file that was read, or null when there is none. */
  readonly configPath: string | null;
  /** What an operator should change although it works. */
  readonly warnings: readonly string[];
}

const SOCKET_PATH_BYTES_MAX = 107;
const LONGEST_SOCKET_NAME = `/${'x'.repeat(32)}-realtime.status.sock`;

/** As `loadConfig`, with options of the command line in place of the environment; an undefined one leaves it as it is. */
export function loadConfigWith(options: { PROCESSES?: string; CONFIG?: string; WITH_ENVOY?: string }): Config {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return loadConfig({ ...process.env, ...Object.fromEntries(given) });
}

/**
 * Reads `CONFIG` (default `./interleave.yaml` when it exists) and the environment, validates both and freezes the
 * result. The only reader of `process.env`.
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const env = check(environmentSchema, environment, 'environment');
  const configPath = env.CONFIG ? resolve(env.CONFIG) : existsSync('interleave.yaml') ? resolve('interleave.yaml') : null;
  const { settings, warnings } = presentLanes(configPath ? readYaml(configPath) : {});
  const file = check(fileSchema, settings, configPath ?? 'configuration');
  const dataDir = resolve(env.DATA_DIR);
  const runDir = resolve(env.RUN_DIR ?? join(dataDir, 'run'));
  if (Buffer.byteLength(runDir + LONGEST_SOCKET_NAME) > SOCKET_PATH_BYTES_MAX) {
    throw new ConfigError(`RUN_DIR ${runDir} is too long for Unix sockets; set RUN_DIR to a shorter path, for example /run/interleave`);
  }
  const redis = sharedRedis(env);
  const envoy = envoyConfig(env);
  return deepFreeze({
    ...file,
    access: { ...file.access, mode: env.ACCESS ?? file.access.mode },
    host: env.HOST,
    port: env.PORT,
    tls: tlsConfig(env, file.tls),
    publishedHost: env.PUBLISHED_HOST ?? null,
    grpcPort: env.GRPC_PORT,
    dataDir,
    modelsDir: resolve(env.MODELS_DIR),
    storage: checkInputs(file, storageLocation(env, dataDir), dataDir),
    inputEndpoint: bucketEndpoint(env),
    runDir,
    ...redis,
    envoy,
    ...drainConfig(env, redis.redisUrl === null && envoy === null),
    privateRedisSocket: join(runDir, 'redis.sock'),
    fleetName: env.FLEET_NAME,
    fleetKeyFile: env.FLEET_KEY_FILE === undefined ? null : resolve(env.FLEET_KEY_FILE),
    fleetCaFile: env.FLEET_CA_FILE === undefined ? null : resolve(env.FLEET_CA_FILE),
    nodeId: nodeId(env, dataDir),
    nodeAddress: nodeAddress(env),
    ortLibraryPath: env.ORT_LIBRARY ? resolve(env.ORT_LIBRARY) : null,
    logLevel: env.LOG_LEVEL,
    tracing: tracingConfig(env),
    processes: env.PROCESSES,
    searchPath: env.PATH,
    supervised: env.INTERLEAVE_SUPERVISED === '1',
    configPath,
    warnings: warnings.map((warning) => `${configPath ?? 'configuration'}: ${warning}`),
  });
}

/** What batches may name must not hold the files of other tenants. */
function checkInputs({ batch }: FileConfig, storage: StorageLocation, dataDir: string): StorageLocation {
  const own = [dataDir, ...(storage.kind === 'directory' ? [storage.path] : [])];
  const root = batch.inputRoots.find((folder) => own.some((path) => isWithin(path, folder) || isWithin(folder, path)));
  if (root !== undefined)
    throw new ConfigError(`batch.inputRoots: expected folders apart from DATA_DIR and STORAGE_URL but received ${root}`);
  if (storage.kind === 'bucket' && batch.inputBuckets.includes(storage.bucket))
    throw new ConfigError(`batch.inputBuckets: expected buckets other than that of STORAGE_URL but received ${storage.bucket}`);
  return storage;
}

const isWithin = (path: string, folder: string): boolean => `${resolve(path)}/`.startsWith(`${resolve(folder)}/`.replace(/^\/\/$/, '/'));

/** What a program needs of its surroundings, whatever it is: where things are, language, time zone, the C library. */
const INHERITED =
  /^(PATH|HOME|USER|LANG|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|MALLOC_\w+|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR))$/;
/** What ONNX Runtime and CUDA are steered by. */
const RUNTIME = /^(ORT_\w+|OMP_\w+|CUDA_\w+|NVIDIA_\w+|NCCL_\w+)$/;
/** Some hold passwords. */
const SECRET_SETTINGS = /^(REDIS|OTEL)_/;
/** What the AWS SDK reads of the environment. */
const AWS = /^AWS_\w+$/;

/** What a child process is given of this process's environment. */
export interface InheritedEnvironment {
  /** The settings of a node. */
  settings: boolean;
  /** Those of Redis among them, and what opens the store. */
  secrets: boolean;
}

/**
 * The environment for a child process: of this process's own only what the child needs, so that secrets of others are not
 * handed on; `overrides` come on top.
 */
export function childEnvironment({ settings, secrets }: InheritedEnvironment, overrides: Record<string, string>): NodeJS.ProcessEnv {
  const names = Object.keys(environmentSchema.shape).filter((name) => secrets || !SECRET_SETTINGS.test(name));
  const isInherited = (name: string): boolean =>
    INHERITED.test(name) || (settings && (RUNTIME.test(name) || names.includes(name))) || (secrets && AWS.test(name));
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => isInherited(name))), ...overrides };
}

/** Has children that are started from now on log so much. */
export function inheritLogLevel(level: LogLevel): void {
  process.env['LOG_LEVEL'] = level;
}

/** Where this machine reaches an API that listens at `host`: a host of all addresses is no address to call. */
export function localUrl({ host, port, tls }: Pick<Config, 'host' | 'port' | 'tls'>): string {
  const scheme = tls === null ? 'http' : 'https';
  if (host === '0.0.0.0' || host === '::') return `${scheme}://localhost:${port}`;
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i;

/** Whether only this machine reaches what listens there. */
export function isLoopbackHost(host: string): boolean {
  return LOOPBACK.test(host);
}

/** Whether a terminal is to show colours (https://no-color.org). */
export function wantsColors(environment: NodeJS.ProcessEnv = process.env): boolean {
  return (environment['NO_COLOR'] ?? '') === '';
}

/** What the command line shows the server: the first line of `keyFile`, else `INTERLEAVE_API_KEY`; null: nothing. */
export function serverKey(keyFile: string | undefined, environment: NodeJS.ProcessEnv = process.env): string | null {
  if (keyFile === undefined) return environment['INTERLEAVE_API_KEY']?.trim() || null;
  try {
    const key = readFileSync(keyFile, 'utf8').split('\n', 1)[0]?.trim();
    if (key) return key;
  } catch (error) {
    throw new ConfigError(`--api-key-file ${keyFile}: ${(error as Error).message}`);
  }
  throw new ConfigError(`--api-key-file ${keyFile}: expected a key in its first line but it is empty`);
}

/** Where the command line finds the server, unless it is told: the node that these settings would start. */
export function serverUrl(environment: NodeJS.ProcessEnv = process.env): string {
  return environment['INTERLEAVE_URL'] ?? localUrl(loadConfig(environment));
}

/** Where each process of a node meets the others. */
export const runPaths = (runDir: string) => ({
  placement: join(runDir, 'placement.json'),
  workerSocket: (workerId: string) => join(runDir, `${workerId}.sock`),
  /** Shared memory by which the lanes are kept apart at run time. */
  controlPage: (workerId: string) => join(runDir, `${workerId}.lane`),
  crashCount: (processId: string) => join(runDir, `${processId}.crashes`),
  statusSocket: (processId: string) => join(runDir, `${processId}.status.sock`),
});

function readYaml(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8')) ?? {};
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}`);
  }
}

/** The former names are settings of a lane. */
function presentLanes(file: unknown): PresentNames {
  if (typeof file !== 'object' || file === null || Array.isArray(file)) return { settings: file, warnings: [] };
  const lanes = LANES.filter((lane) => lane in file).map((lane) => ({
    lane,
    ...withPresentNames((file as Record<string, unknown>)[lane], `${lane}.`),
  }));
  const present = Object.fromEntries(lanes.map(({ lane, settings }) => [lane, settings]));
  return { settings: { ...file, ...present }, warnings: lanes.flatMap(({ warnings }) => warnings) };
}

function check<T extends z.ZodType>(schema: T, value: unknown, source: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ConfigError(`${source}: ${result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`);
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) if (child !== null && typeof child === 'object') deepFreeze(child as object);
  return Object.freeze(value);
}
