import { mkdirSync } from 'node:fs';
import { Inject, Injectable } from '@nestjs/common';
import { runPaths, type Config } from '@app/config';
import type { Placement, PreemptionProof } from '@app/contracts';
import { serveProcessStatus, type Logger, type ProcessStatusServer } from '@app/telemetry';
import { autogroupEnabled, formatCpuList } from '@app/system';
import { planNode } from './placement/plan-node';
import { writePlacement } from './placement/placement-file';
import { preemptionOf } from './preemption';
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
    const pidFiles = new PidFiles(runDir);
    const preemption = await preemptionOf(planNode(this.config), runDir, pidFiles);
    this.log[preemption.verdict === 'holds' ? 'info' : 'warn']({ preemption }, preemption.reason);
    const placement = this.place(preemption);
    const metrics = new SchedulerMetrics(() => supervisor.processes, preemption);
    const supervisor = new Supervisor(processSpecs(this.config, placement), pidFiles, {
      log: this.log,
      timings: DEFAULT_TIMINGS,
      onRestart: ({ id }) => metrics.restarted(id),
    });
    this.supervisor = supervisor;
    this.statusServer = await serveProcessStatus({
      socketPath: runPaths(runDir).statusSocket('scheduler'),
      registry: metrics.registry,
      status: () => schedulerStatus(placement, preemption, supervisor.processes),
    });
    await supervisor.start();
    this.warnOfOtherSessions(supervisor);
  }

  /** Drains in order: api, runner, workers, Redis. */
  async stop(deadlineMs: number): Promise<void> {
    await this.supervisor?.stop(deadlineMs);
    await this.statusServer?.close();
  }

  /** The operator will not wait: everything but Redis ends now. */
  hurry(): void {
    this.supervisor?.hurry();
  }

  private place(preemption: PreemptionProof): Placement {
    const { placement, topology, warnings } = planNode(this.config, preemption);
    for (const { id, class: partitionClass, cpus } of placement.partitions) {
      this.log.info({ partition: id, class: partitionClass, cpus }, `partition ${id}: ${partitionClass}, CPUs ${formatCpuList(cpus)} of ${formatCpuList(topology.effective)}`);
    }
    for (const warning of warnings) this.log.warn(warning);
    writePlacement(runPaths(this.config.runDir).placement, placement);
    return placement;
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
