import { mkdirSync } from 'node:fs';
import { checkAccess } from '@app/access';
import type { Config } from '@app/config';
import { isolateFront } from '@app/native';
import type { ShutdownStep } from '@app/process';
import { openTracing } from '@app/telemetry';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiStatus } from './api-status';
import { Fleet } from './fleet/fleet';
import { GrpcServer } from './grpc/grpc-server';
import { Lifecycle } from './lifecycle';
import { LaneModule } from './lane/lane.module';
import type { ApiProcess } from './process.module';
import { createServer } from './server';
import { lowerThreadPool } from './thread-pool';

/** After the longest time a live request may take, what is still open is an upload or a caller that does not read. */
const DRAIN_EXTRA_MS = 5_000;

export interface ApiProcessOptions extends Omit<ApiProcess, 'tracing'> {
  /** Open sockets that listen, for HTTP and for gRPC; null: it opens one. */
  listenFd: number | null;
  grpcListenFd: number | null;
  /** What is opened is added here. */
  shutdown: ShutdownStep[];
}

/** Opens everything, and listens when its turn comes. */
export async function runApi({ listenFd, grpcListenFd, shutdown, ...process }: ApiProcessOptions): Promise<void> {
  const { config, logger, turn } = process;
  // The scheduler has looked before it started this one. A damaged file refuses all requests then, and can be put right.
  if (!config.supervised) checkAccess(config);
  mkdirSync(config.runDir, { recursive: true });
  await lowerThreadPool();
  const isolation = isolateFront();
  if (isolation.state !== 'active') logger.info({ isolation }, 'live requests may wait for the CPU behind other processes');
  const tracing = openTracing(config.tracing, { id: process.id, nodeId: config.nodeId }, logger);
  const app = await createServer({ ...process, tracing, lane: LaneModule.ofNode() });
  const status = app.get(ApiStatus);
  shutdown.push(['api', () => closeInTime(app, config)]);
  if (tracing !== null) shutdown.push(['traces', tracing.close]);
  if (turn !== null) await turn.comes();
  await status.openRole();
  if (app.get(Lifecycle).draining) return;
  await listen(app, config, listenFd);
  const { host, grpcPort: port } = config;
  await app.get(GrpcServer).listen(grpcListenFd === null ? { host, port } : { fd: grpcListenFd });
  app.get(Fleet).start();
  logger.info({ url: status.url(), grpc: status.grpcAddress() }, 'listening');
}

async function listen(app: NestFastifyApplication, { host, port }: Config, listenFd: number | null): Promise<void> {
  if (listenFd === null) await app.listen(port, host);
  // Fastify hands its options to node, which takes the descriptor before everything else.
  else await app.listen({ fd: listenFd, host } as { host: string });
}

/** No new connections; waits for the answers in flight, but not for ever. See `Shutdown` for the order. */
async function closeInTime(app: NestFastifyApplication, { realtime }: Config): Promise<void> {
  const cut = setTimeout(() => app.getHttpServer().closeAllConnections(), realtime.timeoutMs + DRAIN_EXTRA_MS);
  await app.close().finally(() => clearTimeout(cut));
}
