import type { AddressInfo } from 'node:net';
import { runPaths, type Config } from '@app/config';
import { FORMAT_VERSIONS, type InferenceBackend, type NodeHeartbeat, type NodeState, VERSION } from '@app/contracts';
import { MODELS_MAX } from '@app/fleet';
import { fetchStatus, PlacementReader } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { GrpcServer } from '../grpc/grpc-server';
import { Readiness } from '../health/readiness';
import { fastifyOf } from '../http/fastify-adapter';
import { BACKEND, CONFIG } from '../tokens';
import { LiveUtilization } from './live-utilization';
import { NodeAddress } from './node-address';

const ANSWER_MS_MAX = 200;
/** However often others ask, the runner is asked so often. */
const FRESH_MS = 1_000;

/** What this node says of itself. */
@Injectable()
export class NodeDescription {
  private readonly address: NodeAddress;
  private state: NodeState = 'starting';
  private stateSinceMs = Date.now();
  private askedMs = -Infinity;
  private batch: Promise<NodeHeartbeat['batch']> = Promise.resolve(null);

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    private readonly placement: PlacementReader,
    private readonly readiness: Readiness,
    private readonly utilization: LiveUtilization,
    private readonly http: HttpAdapterHost,
    private readonly grpc: GrpcServer,
  ) {
    this.address = new NodeAddress(config.nodeAddress);
  }

  async now(): Promise<Omit<NodeHeartbeat, 'id' | 'bootId' | 'warnings'>> {
    const { config } = this;
    const [ip, batch] = await Promise.all([this.address.ip(), this.batchLane()]);
    const reason = this.readiness.missing();
    this.enter(this.readiness.draining ? 'draining' : reason === null ? 'ready' : 'starting');
    return {
      address: config.nodeAddress,
      ip,
      httpPort: (fastifyOf(this.http).server.address() as AddressInfo | null)?.port ?? config.port,
      grpcPort: Number(/\d+$/.exec(this.grpc.address() ?? '')?.[0] ?? config.grpcPort),
      tls: config.tls !== null,
      version: VERSION,
      formatVersions: FORMAT_VERSIONS,
      state: this.state,
      reason,
      stateSinceMs: this.stateSinceMs,
      models: this.backend
        .models()
        .slice(0, MODELS_MAX)
        .map(({ name, version, state }) => ({ name, version, state })),
      liveBacklogMs: this.backend.backlogMs(),
      utilization: this.utilization.read(this.liveExecutors()),
      partitions: (this.placement.placement?.partitions ?? []).map(({ id, class: kind, cpus }) => ({ id, class: kind, cpus: cpus.length })),
      batch,
    };
  }

  private enter(state: NodeState): void {
    if (state === this.state) return;
    this.state = state;
    this.stateSinceMs = Date.now();
  }

  private liveExecutors(): number {
    return this.placement.workers().reduce((sum, { lane, cpus }) => sum + (lane === 'realtime' ? cpus.length : 0), 0);
  }

  private batchLane(): Promise<NodeHeartbeat['batch']> {
    if (performance.now() - this.askedMs > FRESH_MS) {
      this.askedMs = performance.now();
      this.batch = this.askRunner();
    }
    return this.batch;
  }

  private askRunner(): Promise<NodeHeartbeat['batch']> {
    return fetchStatus('runner', runPaths(this.config.runDir).statusSocket('runner'), ANSWER_MS_MAX).then(
      ({ rowsPerSecond, chunks, batches, redisIsReady }) => ({
        rowsPerSecond,
        chunksRunning: chunks.running,
        paused: redisIsReady ? (batches.find(({ paused }) => paused !== null)?.paused ?? null) : 'Redis is away',
      }),
      () => null,
    );
  }
}
