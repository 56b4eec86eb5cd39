import { once } from 'node:events';
import { createServer, type AddressInfo, type ListenOptions, type Server as NetServer, type Socket } from 'node:net';
import type { Config } from '@app/config';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity, type ConnectionInjector } from '@grpc/grpc-js';
import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { fastifyOf } from '../http/fastify-adapter';
import { GrpcMetrics } from '../metrics/grpc-metrics';
import type { TlsFiles } from '../tls/tls-files';
import { createTlsListener } from '../tls/tls-server';
import { CONFIG, TLS_FILES } from '../tokens';
import { LoadReports } from '../load-report/load-reports';
import { ignoreFarDeadlines } from './far-deadlines';
import { addReflection } from './reflection';
import { HeldMemory } from './held-memory';
import { InferenceCalls } from './inference-calls';
import { GrpcHealth } from './health';
import { Handlers } from './handlers';

const STREAMS_PER_CONNECTION_MAX = 1024;
/** A connection without a word for this long is asked whether it is still there, and has so long to say so. */
const KEEP_ALIVE_MS = 60_000;
const KEEP_ALIVE_ANSWER_MS = 20_000;
/** A connection must have said by then that it speaks HTTP/2. */
const PREFACE_MS_MAX = 15_000;
const PREFACE_BYTES = 24;
/** As for HTTP: after the longest time of a live request, what is still open is a caller that does not read. */
const DRAIN_EXTRA_MS = 5_000;

/** gRPC in the API process: connections come from a listening socket, grpc-js speaks HTTP/2 on them. */
@Injectable()
export class GrpcServer {
  private readonly server: Server;
  private readonly injector: ConnectionInjector;
  private readonly listener: NetServer;
  private closed: Promise<void> | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(TLS_FILES) tls: TlsFiles | null,
    http: HttpAdapterHost,
    private readonly inference: InferenceCalls,
    private readonly health: GrpcHealth,
    handlers: Handlers,
    metrics: GrpcMetrics,
    reports: LoadReports,
  ) {
    // It writes what callers send wrong to stderr, once for each call.
    setLogVerbosity(logVerbosity.NONE);
    const messageBytesMax = config.http.bodyBytesMax;
    const memory = new HeldMemory(fastifyOf(http).bodies, messageBytesMax);
    this.server = new Server({
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
      'grpc.keepalive_time_ms': KEEP_ALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEP_ALIVE_ANSWER_MS,
      'grpc.enable_channelz': 0,
      interceptors: [metrics.interceptor, memory.interceptor, ...reports.interceptors()],
    });
    handlers.addTo(this.server, memory);
    reports.addTo(this.server);
    addReflection(this.server);
    // TLS is done by the listener, if at all.
    this.injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    ignoreFarDeadlines(this.server);
    this.listener = tls === null ? createServer({ noDelay: true }) : createTlsListener({ alpn: ['h2'], files: tls });
    this.listener.maxConnections = config.http.connectionsMax;
    this.accept(this.listener, tls === null ? 'connection' : 'secureConnection');
  }

  /** Takes connections that a server emits: plain sockets, or those of TLS with `h2` agreed on. */
  private accept(source: NetServer, event: 'connection' | 'secureConnection'): void {
    source.on(event, (socket: Socket) => {
      this.injector.injectConnection(socket);
      const timer = setTimeout(() => socket.bytesRead < PREFACE_BYTES && socket.destroy(), PREFACE_MS_MAX).unref();
      socket.once('close', () => clearTimeout(timer));
    });
  }

  /** Rejects with what the system says. */
  async listen(where: Pick<ListenOptions, 'host' | 'port'> | { fd: number }): Promise<void> {
    this.listener.listen(where);
    await once(this.listener, 'listening');
  }

  /** Host and port; null while it does not listen. */
  address(): string | null {
    const address = this.listener.address() as AddressInfo | null;
    if (address === null) return null;
    return `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  }

  /** No new connections, and no new calls on those that are open; calls that run go on, but not for ever. */
  drain(): void {
    if (!this.listener.listening) return;
    this.closed = new Promise((resolve) => this.listener.close(() => resolve()));
    this.health.drain();
    this.inference.drain();
    this.injector.drain(this.config.realtime.timeoutMs + DRAIN_EXTRA_MS);
  }

  /** Resolves when the last call was answered. */
  async drained(): Promise<void> {
    await this.closed;
    this.server.forceShutdown();
  }
}
