import { runPaths, type Config } from '@app/config';
import type { BlamedInput, PreemptionProof, ReleaseCommand, SchedulerProcessStatus, SupervisedProcessStatus } from '@app/contracts';
import { serveProcessStatus, type ProcessStatusServer } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import type { LaneControl } from './lane-control/lane-control';
import { NodeHistoryStore } from './observation/history/node-history';
import { observationDoors } from './observation/stream/observation-doors';
import { ObservationStream } from './observation/stream/observation-stream';
import { PublishedPlacement } from './placement/published-placement';
import { RepositoryCommands } from './repository/commands';
import { ModelRepository } from './repository/model-repository';
import { SchedulerMetrics } from './scheduler-metrics';
import { QuarantineKeeper } from './supervision/quarantine-keeper';
import type { SupervisedProcess } from './supervision/supervised-process';
import { Supervisor } from './supervision/supervisor';
import { CONFIG, LANE_CONTROL, PREEMPTION } from './tokens';

/** What this scheduler tells the other processes, and takes from them. */
@Injectable()
export class SchedulerStatus {
  private server: ProcessStatusServer | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(PREEMPTION) private readonly preemption: PreemptionProof,
    @Inject(LANE_CONTROL) private readonly laneControl: LaneControl | null,
    private readonly placement: PublishedPlacement,
    private readonly supervisor: Supervisor,
    private readonly quarantine: QuarantineKeeper,
    private readonly metrics: SchedulerMetrics,
    private readonly repository: ModelRepository,
    private readonly commands: RepositoryCommands,
    private readonly observation: ObservationStream,
    private readonly history: NodeHistoryStore,
  ) {}

  async open(): Promise<void> {
    this.server = await serveProcessStatus({
      socketPath: runPaths(this.config.runDir).statusSocket('scheduler'),
      registry: this.metrics.registry,
      status: () => this.read(),
      commands: {
        '/blame-input': (body) => (this.quarantine.inputBlamed(body as BlamedInput), {}),
        '/release': (body) => this.quarantine.release(body as ReleaseCommand),
        ...this.commands.byPath(),
      },
      doors: observationDoors(this.observation, this.history),
    });
  }

  async close(): Promise<void> {
    await this.server?.close();
  }

  read(): SchedulerProcessStatus {
    const processes = this.supervisor.processes.map(statusOf);
    const placement = this.placement.current;
    return {
      processes,
      workers: placement.workers.flatMap(({ id, lane, cpus }) =>
        processes.filter((status) => status.id === id).map((status) => ({ ...status, lane, cpus })),
      ),
      redis: processes.find(({ id }) => id === 'redis') ?? null,
      placement,
      preemption: this.preemption,
      laneControl: this.laneControl?.status() ?? null,
      ...this.repository.status(),
    };
  }
}

function statusOf({ spec, pid, state, restarts, reason }: SupervisedProcess): SupervisedProcessStatus {
  return { id: spec.id, pid, state, restarts, reason };
}
