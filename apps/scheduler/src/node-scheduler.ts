import { mkdirSync } from 'node:fs';
import { Inject, Injectable } from '@nestjs/common';
import { runPaths, type Config } from '@app/config';
import type { Placement } from '@app/contracts';
import { serveProcessStatus, type Logger, type ProcessStatusServer } from '@app/telemetry';
import { autogroupEnabled, formatCpuList } from '@app/system';
import { LaneControl } from './lane-control/lane-control';
import { registerLaneControl } from './lane-control/lane-control-metrics';
import { planNode } from './placement/plan-node';
import { writePlacement } from './placement/placement-file';
import { processSpecs } from './processes';
import { SchedulerMetrics } from './scheduler-metrics';
import { schedulerStatus } from './scheduler-status';
import { lockDataDir } from './supervision/data-dir-lock';
import { PidFiles } from './supervision/pid-files';
import { DEFAULT_TIMINGS } from './supervision/process-spec';
import { sessionOf } from './supervision/proc-fs';
import { Supervisor } from './supervision/supervisor';

export const CONFIG = Symbol('Config');
export const LOGGER = Symbol('Logger');

/** The whole of one node's scheduler: plans, starts, watches, drains. */
@Injectable()
export class NodeScheduler {
  private supervisor: Supervisor | null = null;
  private statusServer: ProcessStatusServer | null = null;
  private laneControl: LaneControl | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** Throws for a data directory in use and for a configuration that this machine cannot hold, before starting anything. */
  async start(): Promise<void> {
    const { dataDir, runDir } = this.config;
    mkdirSync(dataDir, { recursive: true });
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    lockDataDir(dataDir);
    const placement = this.place();
    const metrics = new SchedulerMetrics(() => supervisor.processes);
    const supervisor = new Supervisor(processSpecs(this.config, placement), new PidFiles(runDir), {
      log: this.log,
      timings: DEFAULT_TIMINGS,
      onRestart: ({ id }) => metrics.restarted(id),
    });
    this.supervisor = supervisor;
    const laneControl = this.controlLanes(placement, metrics);
    this.statusServer = await serveProcessStatus({
      socketPath: runPaths(runDir).statusSocket('scheduler'),
      registry: metrics.registry,
      status: () => schedulerStatus(placement, supervisor.processes, laneControl?.status() ?? null),
    });
    await supervisor.start();
    this.warnOfOtherSessions(supervisor);
  }

  /** Drains in order: api, runner, workers, Redis. */
  async stop(deadlineMs: number): Promise<void> {
    await this.laneControl?.stop();
    await this.supervisor?.stop(deadlineMs);
    await this.statusServer?.close();
  }

  /** The operator will not wait: everything but Redis ends now. */
  hurry(): void {
    this.supervisor?.hurry();
  }

  private place(): Placement {
    const { placement, topology, warnings } = planNode(this.config);
    for (const { id, class: partitionClass, cpus } of placement.partitions) {
      this.log.info({ partition: id, class: partitionClass, cpus }, `partition ${id}: ${partitionClass}, CPUs ${formatCpuList(cpus)} of ${formatCpuList(topology.effective)}`);
    }
    for (const warning of warnings) this.log.warn(warning);
    writePlacement(runPaths(this.config.runDir).placement, placement);
    return placement;
  }

  /** Null: another scheduler looks after the workers. */
  private controlLanes(placement: Placement, { registry }: SchedulerMetrics): LaneControl | null {
    const { runDir, processes, batch } = this.config;
    if (!processes.includes('worker')) return null;
    const control = new LaneControl({ placement, runDir, floorShare: batch.floorShare, holdOffShare: batch.holdOffShare, log: this.log });
    registerLaneControl(registry, () => control.status());
    control.start();
    this.laneControl = control;
    return control;
  }

  /** With autogroups, priorities hold within one session only; workers kept from an earlier scheduler may be in another. */
  private warnOfOtherSessions({ processes }: Supervisor): void {
    if (!autogroupEnabled()) return;
    const sessions = processes.filter(({ spec, pid }) => spec.kind === 'worker' && pid !== null).map(({ pid }) => sessionOf(pid ?? 0));
    if (new Set(sessions).size > 1) {
      this.log.warn({ sessions }, 'the workers are in different sessions, so the batch lane does not give way to live requests; restart the node, or set kernel.sched_autogroup_enabled=0');
    }
  }
}
