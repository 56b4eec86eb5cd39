import { mkdirSync } from 'node:fs';
import { runPaths, type Config } from '@app/config';
import { openModelCatalog } from '@app/models';
import { isolateFront } from '@app/native';
import { WorkerPool } from '@app/worker-pool';
import { PlacementReader, serveProcessStatus, type ProcessStatusServer, type ShutdownStep } from '@app/process';
import { observeEventLoop, observeMemory, type Logger } from '@app/telemetry';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { openBatchService } from './batches';
import { Readiness } from './health/readiness';
import { Lifecycle } from './lifecycle';
import { createServer } from './server';
import { lowerThreadPool } from './thread-pool';
import type { Turn } from './turn';

/** The role: of the API processes of a node one has it at a time, and its name in metrics. */
const ROLE = 'api';
/** After the longest time a live request may take, what is still open is an upload or a caller that does not read. */
const DRAIN_EXTRA_MS = 5_000;

export interface ApiOptions {
  config: Config;
  /** Its name at the scheduler; equal to the role where it is the only one. */
  id: string;
  /** An open socket that listens; null: it opens one. */
  listenFd: number | null;
  /** Null: it is the only API process. */
  turn: Turn | null;
  logger: Logger;
  /** What is opened is added here. */
  shutdown: ShutdownStep[];
}

/** Opens everything, and listens when its turn comes. */
export async function runApi({ config, id, listenFd, turn, logger, shutdown }: ApiOptions): Promise<void> {
  mkdirSync(config.runDir, { recursive: true });
  await lowerThreadPool();
  const isolation = isolateFront();
  if (isolation.state !== 'active') logger.info({ isolation }, 'live requests may wait for the CPU behind other processes');
  const registry = new Registry();
  observeEventLoop(registry, ROLE);
  observeMemory(registry, ROLE);
  const placement = new PlacementReader(config.runDir);
  placement.onChange(() => {
    if (placement.problem !== null) logger.warn({ reason: placement.problem }, 'the placement cannot be used; what was known before holds');
  });
  const backend = new WorkerPool({ lane: 'realtime', runDir: config.runDir, placement });
  const catalog = await openModelCatalog(config.modelsDir, 'realtime', logger);
  const adoptReports = () => catalog.applyReports(backend.models());
  backend.onModelsChanged(adoptReports);
  adoptReports();
  const batches = await openBatchService(config, logger);
  const app = await createServer({ config, logger, placement, backend, catalog, batches, registry });
  const readiness = app.get(Readiness);
  const serveStatus = (name: string): Promise<ProcessStatusServer> =>
    serveProcessStatus({
      socketPath: runPaths(config.runDir).statusSocket(name),
      registry,
      status: () => ({ id, pid: process.pid, url: urlOf(app), missing: readiness.missing(), inFlightItems: backend.inFlightItems() }),
    });
  const ownStatus = await serveStatus(id);
  let roleStatus: ProcessStatusServer | null = null;
  // Refuse new work, let what runs finish, then close what it ran on. The role's socket goes before the turn: closing it
  // removes the file, which the next process makes anew.
  shutdown.push(
    ['health', () => app.get(Lifecycle).drain()],
    ['role', async () => roleStatus?.close()],
    ['turn', () => turn?.giveUp()],
    ['http', () => closeServer(app, config)],
    ['batches', () => batches.close()],
    ['workers', () => backend.close()],
    ['placement', () => placement.close()],
    ['status', () => ownStatus.close()],
  );
  if (turn !== null) await turn.comes();
  if (id !== ROLE) roleStatus = await serveStatus(ROLE);
  await listen(app, config, listenFd);
  logger.info({ url: urlOf(app) }, 'listening');
}

async function listen(app: NestFastifyApplication, { host, port }: Config, listenFd: number | null): Promise<void> {
  if (listenFd === null) await app.listen(port, host);
  // Fastify hands its options to node, which takes the descriptor before everything else.
  else await app.listen({ fd: listenFd, host } as { host: string });
}

/** No new connections; waits for the answers in flight, but not for ever. */
async function closeServer(app: NestFastifyApplication, config: Config): Promise<void> {
  const cut = setTimeout(() => app.getHttpServer().closeAllConnections(), config.realtime.timeoutMs + DRAIN_EXTRA_MS);
  await app.close().finally(() => clearTimeout(cut));
}

function urlOf(app: NestFastifyApplication): string | null {
  const address = app.getHttpServer().address();
  if (address === null || typeof address === 'string') return null;
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}
