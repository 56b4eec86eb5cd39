import type { InferenceBackend } from '@app/contracts';
import { PlacementReader, takeSteps } from '@app/process';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { ApiStatus } from './api-status';
import { BatchService } from './batches/batch.service';
import { Fleet } from './fleet/fleet';
import { GrpcServer } from './grpc/grpc-server';
import { Lifecycle } from './lifecycle';
import { BACKEND, BATCH_BACKEND, LOGGER, TURN } from './tokens';
import type { Turn } from './turn';

/**
 * The order in which the application closes: refuse new work, let what runs finish, then close what it ran on. In one place,
 * since the hooks of several modules would run in an order of Nest's.
 */
@Injectable()
export class Shutdown implements OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown {
  private allEnded = true;

  constructor(
    @Inject(LOGGER) private readonly log: Logger,
    @Inject(TURN) private readonly turn: Turn | null,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    @Inject(BATCH_BACKEND) private readonly batch: InferenceBackend,
    private readonly placement: PlacementReader,
    private readonly lifecycle: Lifecycle,
    private readonly status: ApiStatus,
    private readonly batches: BatchService,
    private readonly grpc: GrpcServer,
    private readonly fleet: Fleet,
  ) {}

  onModuleDestroy(): void {
    this.lifecycle.end();
    void this.fleet.drain();
  }

  /** The role's socket goes before the turn: closing it removes the file, which the next process makes anew. */
  async beforeApplicationShutdown(): Promise<void> {
    this.allEnded = await takeSteps(this.log, [
      ['role', () => this.status.closeRole()],
      ['turn', () => this.turn?.giveUp()],
      ['grpc', () => this.grpc.drain()],
    ]);
  }

  // Between the two Nest closes HTTP: no new connections, and the answers in flight are waited for. gRPC drains meanwhile.

  async onApplicationShutdown(): Promise<void> {
    const allEnded = await takeSteps(this.log, [
      ['grpc', () => this.grpc.drained()],
      ['fleet', () => this.fleet.leave()],
      ['batches', () => this.batches.close()],
      ['workers', () => this.backend.close()],
      ['batch workers', () => this.batch.close()],
      ['placement', () => this.placement.close()],
      ['status', () => this.status.close()],
    ]);
    if (!this.allEnded || !allEnded) throw new Error('not everything could be closed; the log says what and why');
  }
}
