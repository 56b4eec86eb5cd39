import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { ApiProcessStatus, RunnerProcessStatus, SchedulerProcessStatus, WorkerLaneReport, WorkerProcessStatus } from '@app/contracts';
import type { MetricObjectWithValues, MetricValue, Registry } from 'prom-client';

/**
 * What every process tells the others about itself, over HTTP on a Unix socket in the run directory: `GET /status` (its own
 * JSON), `GET /alive` (nothing), `GET /metrics` (prom-client's JSON, merged by the API into one exposition), `GET /lane` where it has
 * live answers to count, and `POST` for what it can be told.
 */
export interface ProcessStatusServer {
  close(): Promise<void>;
}

export type MetricsJson = MetricObjectWithValues<MetricValue<string>>[];

/** Keeps the process alive until `close`. */
export async function serveProcessStatus(options: {
  socketPath: string;
  registry: Registry;
  status: () => object;
  lane?: () => object;
  /** By path; what they throw is answered as an error. */
  commands?: Record<string, Command>;
  /** By path; what is asked for by GET and is more than one object. */
  doors?: Record<string, StatusDoor>;
}): Promise<ProcessStatusServer> {
  rmSync(options.socketPath, { force: true });
  const server = createServer((incoming, response) => {
    const url = incoming.url ?? '/';
    const door = incoming.method === 'GET' ? options.doors?.[url.replace(/\?.*/, '')] : undefined;
    if (door !== undefined) return door(new URLSearchParams(url.replace(/^[^?]*\??/, '')), response);
    const answering = incoming.method === 'POST' ? obey(options.commands?.[url], incoming) : answer(url, options);
    answering
      .then((body) => response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {})))
      .catch((error: Error) => response.writeHead(500).end(JSON.stringify({ error: error.message })));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.socketPath, resolve));
  chmodSync(options.socketPath, 0o600);
  return { close: () => closeServer(server) };
}

/** A body of JSON in, JSON out; null: there is no such thing. */
export type Command = (body: unknown) => object | null | Promise<object | null>;

/** Answers by itself, and ends the response some time. Must not throw. */
export type StatusDoor = (query: URLSearchParams, response: ServerResponse) => void;

/** Asks an API process for the `FleetView`. */
export const FLEET_COMMAND = '/fleet-view';

/** Doors of the scheduler: the node as an operator sees it, as a stream of server-sent events, at once, and as it was. */
export const OBSERVATION_DOORS = { stream: '/observation', view: '/observation/view', history: '/observation/history' } as const;

/** Tells an API process that its node will end: it says that it is not ready, and answers on. */
export const DRAIN_COMMAND = '/drain';

/** Answered without looking at anything. */
const ALIVE_PATH = '/alive';

/** Proxies that ask for endpoints tell all they can do. */
const COMMAND_BYTES_MAX = 256 * 1024;

/** Tells another process to do something. Rejects with its reason, or when it does not answer within `timeoutMs`. */
export function commandProcess<T>(socketPath: string, path: string, body: object, timeoutMs = 2000): Promise<T> {
  return jsonOf(exchange(socketPath, path, timeoutMs, JSON.stringify(body)), path);
}

/** What `GET /status` answers, by the kind of process. */
interface Statuses {
  api: ApiProcessStatus;
  scheduler: SchedulerProcessStatus;
  runner: RunnerProcessStatus;
  worker: WorkerProcessStatus;
}

/** The status of another process. Rejects with its reason, or when it does not answer within `timeoutMs`. */
export function fetchStatus<Kind extends keyof Statuses>(_kind: Kind, socketPath: string, timeoutMs = 500): Promise<Statuses[Kind]> {
  return jsonOf(exchange(socketPath, '/status', timeoutMs, null), '/status');
}

/** Whether another process answers at all, be it an error. Rejects when it does not within `timeoutMs`. */
export async function probeStatus(socketPath: string, timeoutMs: number): Promise<void> {
  await exchange(socketPath, ALIVE_PATH, timeoutMs, null);
}

/** The metrics of another process, in prom-client's JSON. Rejects with its reason, or when it does not answer within `timeoutMs`. */
export function fetchMetrics(socketPath: string, timeoutMs = 500): Promise<MetricsJson> {
  return jsonOf(exchange(socketPath, '/metrics', timeoutMs, null), '/metrics');
}

/** One object from a door of another process. Rejects with its reason, or when it does not answer within `timeoutMs`. */
export function fetchDoor<T>(socketPath: string, path: string, timeoutMs = 2000): Promise<T> {
  return jsonOf(exchange(socketPath, path, timeoutMs, null), path);
}

/** What a worker counts of live answers. Rejects with its reason, or when it does not answer within `timeoutMs`. */
export function fetchLaneReport(socketPath: string, timeoutMs = 500): Promise<WorkerLaneReport> {
  return jsonOf(exchange(socketPath, '/lane', timeoutMs, null), '/lane');
}

interface Answered {
  status: number | undefined;
  text: string;
}

async function jsonOf<T>(answering: Promise<Answered>, path: string): Promise<T> {
  const { status, text } = await answering;
  const answered = JSON.parse(text) as T;
  if (status !== 200) throw new Error((answered as { error?: string } | null)?.error ?? `no answer to ${path}`);
  return answered;
}

/** `body` null: GET. */
function exchange(socketPath: string, path: string, timeoutMs: number, body: string | null): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const method = body === null ? 'GET' : 'POST';
    const outgoing = request({ socketPath, path, method, timeout: timeoutMs, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString('utf8') }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${socketPath} within ${timeoutMs} ms`)));
    outgoing.on('error', reject);
    outgoing.end(body ?? undefined);
  });
}

async function obey(command: Command | undefined, incoming: IncomingMessage): Promise<object | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > COMMAND_BYTES_MAX) throw new Error(`expected at most ${COMMAND_BYTES_MAX} bytes`);
    parts.push(part);
  }
  return command?.(JSON.parse(Buffer.concat(parts).toString('utf8'))) ?? null;
}

async function answer(path: string, options: { registry: Registry; status: () => object; lane?: () => object }): Promise<object | null> {
  if (path === ALIVE_PATH) return {};
  if (path === '/status') return options.status();
  if (path === '/lane') return options.lane?.() ?? null;
  if (path === '/metrics') return options.registry.getMetricsAsJSON();
  return null;
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
