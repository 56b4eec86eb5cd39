import { chmodSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { MetricObjectWithValues, MetricValue, Registry } from 'prom-client';

/**
 * What every process tells the others about itself, over HTTP on a Unix socket in the run directory:
 * `GET /status` (its own JSON), `GET /lane` where it has live answers to count, and `GET /metrics` (prom-client's JSON, merged by the API into one exposition).
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
}): Promise<ProcessStatusServer> {
  rmSync(options.socketPath, { force: true });
  const server = createServer((incoming, response) => {
    answer(incoming.url ?? '/', options)
      .then((body) => response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {})))
      .catch((error: Error) => response.writeHead(500).end(JSON.stringify({ error: error.message })));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.socketPath, resolve));
  chmodSync(options.socketPath, 0o600);
  return { close: () => closeServer(server) };
}

/** Asks another process. Rejects when it does not answer within `timeoutMs`. */
export function fetchProcessStatus<T>(socketPath: string, path: '/status' | '/metrics' | '/lane', timeoutMs = 500): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, timeout: timeoutMs, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString('utf8')) as T);
        } catch (error) {
          reject(error as Error);
        }
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${socketPath} within ${timeoutMs} ms`)));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function answer(path: string, options: { registry: Registry; status: () => object; lane?: () => object }): Promise<object | null> {
  if (path === '/status') return options.status();
  if (path === '/lane') return options.lane?.() ?? null;
  if (path === '/metrics') return options.registry.getMetricsAsJSON();
  return null;
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
