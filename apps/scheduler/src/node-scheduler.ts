import { mkdirSync } from 'node:fs';
import { Inject, Injectable } from '@nestjs/common';
import { runPaths, type Config } from '@app/config';
import type { Placement } from '@app/contracts';
import { serveProcessStatus, type Logger, type ProcessStatusServer } from '@app/telemetry';
import { autogroupEnabled, formatCpuList } from '@app/system';
import { LaneControl } from './lane-control/lane-control';
import { registerLaneControl } from './lane-control/lane-control-metrics';
import { gpusToPlan } from './gpu-inventory';
import { planNode, readNodeFacts, type NodePlan } from './placement/plan-node';
import { readPlacement, writePlacement } from './placement/placement-file';
import { preemptionOf } from './preemption';
import { processSpecs } from './processes';
import { SchedulerMetrics } from './scheduler-metrics';
import { schedulerStatus } from './scheduler-status';
import { lockDataDir } from './supervision/data-dir-lock';
import { holdListeningSocket } from './supervision/listening-socket';
import { ModelQuarantine } from './supervision/model-quarantine';
import { PidFiles } from './supervision/pid-files';
import { DEFAULT_TIMINGS } from './supervision/process-spec';
import { sessionOf } from './supervision/proc-fs';
import { Supervisor } from './supervision/supervisor';

export const CONFIG = Symbol('Config');
export const LOGGER = Symbol('Logger');

interface WorkerDeath {
  workerId: string;
  /** Position in the worker's plan of the model that it died of. */
  culprit: number;
  reason: string;
}

/** The whole of one node's scheduler: plans, starts, watches, drains. */
@Injectable()
export class NodeScheduler {
  private supervisor: Supervisor | null = null;
  private placement: Placement | null = null;
  private quarantine = new ModelQuarantine();
  private statusServer: ProcessStatusServer | null = null;
  private laneControl: LaneControl | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** Throws for a data directory or port in use and for a configuration that this machine cannot hold, before starting anything. */
  async start(): Promise<void> {
    const { dataDir, runDir } = this.config;
    mkdirSync(dataDir, { recursive: true });
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    lockDataDir(dataDir);
    const pidFiles = new PidFiles(runDir);
    const listenFd = this.config.processes.includes('api') ? await holdListeningSocket(this.config, pidFiles, this.log) : null;
    const found = readNodeFacts(this.config);
    const facts = { ...found, gpus: gpusToPlan(found.gpus, runDir, pidFiles) };
    const preemption = await preemptionOf(planNode(this.config, facts), runDir, pidFiles);
    this.log[preemption.verdict === 'holds' ? 'info' : 'warn']({ preemption }, preemption.reason);
    const placement = this.place(planNode(this.config, facts, preemption), pidFiles);
    const metrics = new SchedulerMetrics(() => supervisor.processes, placement, preemption);
    const supervisor = new Supervisor(processSpecs(this.config, placement, listenFd), pidFiles, {
      log: this.log,
      timings: DEFAULT_TIMINGS,
      onRestart: ({ id }) => metrics.restarted(id),
      onCulprit: ({ id }, culprit, reason) => this.workerDied(placement, metrics, { workerId: id, culprit, reason }),
    });
    this.placement = placement;
    this.supervisor = supervisor;
    const laneControl = this.controlLanes(placement, metrics);
    this.statusServer = await serveProcessStatus({
      socketPath: runPaths(runDir).statusSocket('scheduler'),
      registry: metrics.registry,
      status: () => schedulerStatus(placement, { preemption, laneControl: laneControl?.status() ?? null }, supervisor.processes),
    });
    await supervisor.start();
    this.warnOfOtherSessions(supervisor);
  }

  /** Drains in order: api, runner, workers, Redis. What was quarantined gets another chance at the next start. */
  async stop(deadlineMs: number): Promise<void> {
    await this.laneControl?.stop();
    await this.supervisor?.stop(deadlineMs);
    await this.statusServer?.close();
    if (this.placement !== null) this.publish({ ...this.placement, quarantined: [] });
  }

  /** The operator will not wait: everything but Redis ends now. */
  hurry(): void {
    this.supervisor?.hurry();
  }

  /** What an earlier scheduler quarantined stays so while anything that it started runs. */
  private place({ placement, topology, warnings }: NodePlan, pidFiles: PidFiles): Placement {
    for (const { id, class: partitionClass, cpus } of placement.partitions) {
      this.log.info({ partition: id, class: partitionClass, cpus }, `partition ${id}: ${partitionClass}, CPUs ${formatCpuList(cpus)} of ${formatCpuList(topology.effective)}`);
    }
    for (const warning of warnings) this.log.warn(warning);
    const kept = pidFiles.anyRuns() ? (readPlacement(this.placementPath)?.quarantined ?? []) : [];
    this.quarantine = new ModelQuarantine(kept);
    const published = { ...placement, quarantined: [...kept] };
    this.publish(published);
    return published;
  }

  /** Blames the model that a worker died of, and takes it out of service when it has killed too many. */
  private workerDied(placement: Placement, metrics: SchedulerMetrics, { workerId, culprit, reason }: WorkerDeath): void {
    const plan = placement.workers.find(({ id }) => id === workerId);
    const model = plan?.models[culprit];
    if (plan === undefined || model === undefined) return;
    const blamed = { name: model.name, version: model.version, lane: plan.lane };
    metrics.workerDied(blamed);
    this.log.error({ child: workerId, model: blamed.name, version: blamed.version, reason }, `${workerId} died of model ${blamed.name} version ${blamed.version}: ${reason}`);
    const quarantined = this.quarantine.workerDied(blamed, reason);
    if (quarantined === null) return;
    this.log.error(quarantined, `model ${blamed.name} version ${blamed.version} is ${quarantined.reason}`);
    placement.quarantined = [...this.quarantine.models()];
    try {
      this.publish(placement);
    } catch (error) {
      this.log.error({ err: error }, 'the quarantine could not be written, so it holds from the next change of the placement on');
    }
  }

  private publish(placement: Placement): void {
    writePlacement(this.placementPath, placement);
  }

  private get placementPath(): string {
    return runPaths(this.config.runDir).placement;
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
