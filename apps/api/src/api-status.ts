import { runPaths, type Config } from '@app/config';
import type { ApiProcessStatus, InferenceBackend } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { DRAIN_COMMAND, FLEET_COMMAND, logLevelCommand, serveProcessStatus, type Command, type ProcessStatusServer } from '@app/process';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Registry } from 'prom-client';
import { GrpcServer } from './grpc/grpc-server';
import { DISCOVERY_PATH, endpointsFor } from './fleet/discovery';
import { Fleet } from './fleet/fleet';
import { Readiness } from './health/readiness';
import { fastifyOf } from './http/fastify-adapter';
import { Lifecycle } from './lifecycle';
import { ROLE } from './process.module';
import { Releases } from './releases/releases';
import { Breakers } from './resilience/breakers';
import { BACKEND, CATALOG, CONFIG, LOGGER, PROCESS_ID } from './tokens';

/** Serves this process's status: on its own socket from the start, on the socket `api` while it is the one that answers. */
@Injectable()
export class ApiStatus implements OnApplicationBootstrap {
  private own: ProcessStatusServer | null = null;
  private role: ProcessStatusServer | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(PROCESS_ID) private readonly id: string,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly registry: Registry,
    private readonly readiness: Readiness,
    private readonly http: HttpAdapterHost,
    private readonly grpc: GrpcServer,
    private readonly fleet: Fleet,
    private readonly lifecycle: Lifecycle,
    private readonly releases: Releases,
    private readonly breakers: Breakers,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.own = await this.serve(this.id);
  }

  async openRole(): Promise<void> {
    if (this.id !== ROLE) this.role = await this.serve(ROLE);
  }

  async closeRole(): Promise<void> {
    await this.role?.close();
  }

  async close(): Promise<void> {
    await this.own?.close();
  }

  /** Where it listens; null: not yet. */
  url(): string | null {
    const address = fastifyOf(this.http).server.address();
    if (address === null || typeof address === 'string') return null;
    const scheme = this.config.tls === null ? 'http' : 'https';
    return `${scheme}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  }

  /** Where gRPC listens; null: not yet. */
  grpcAddress(): string | null {
    return this.grpc.address();
  }

  /** For the scheduler, and a proxy on this machine: whoever may open the socket needs no key. */
  private commands(): Record<string, Command> {
    return {
      ...logLevelCommand(this.log),
      [DRAIN_COMMAND]: () => this.giveNotice(),
      [FLEET_COMMAND]: () => this.fleet.view(),
      [DISCOVERY_PATH]: async (body) => endpointsFor(body, await this.fleet.view()),
    };
  }

  private giveNotice(): object {
    if (this.lifecycle.draining) return {};
    this.lifecycle.drain();
    // The list of nodes may be slow to take it; health says it already.
    void this.fleet.drain();
    return {};
  }

  private serve(name: string): Promise<ProcessStatusServer> {
    const socketPath = runPaths(this.config.runDir).statusSocket(name);
    return serveProcessStatus({ socketPath, registry: this.registry, status: () => this.status(), commands: this.commands() });
  }

  private status(): ApiProcessStatus {
    const comparisons = this.releases.comparisons();
    return {
      id: this.id,
      pid: process.pid,
      url: this.url(),
      grpcAddress: this.grpcAddress(),
      missing: this.readiness.missing(),
      inFlightItems: this.backend.inFlightItems(),
      ...(comparisons.length > 0 && { comparisons }),
      models: this.catalog.revisions() ?? undefined,
      breakers: this.breakers.list(),
    };
  }
}
