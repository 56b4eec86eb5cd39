import { mkdirSync } from 'node:fs';
import { Inject, Injectable } from '@nestjs/common';
import { runPaths, type Config } from '@app/config';
import type { BlamedInput, ModelOfLane, Placement, QuarantinedModel, ReleaseCommand } from '@app/contracts';
import { addCrash, PlacementError, readPlacement, serveProcessStatus, writePlacement, type ProcessStatusServer } from '@app/process';
import { type Logger } from '@app/telemetry';
import { autogroupEnabled, formatCpuList } from '@app/system';
import { LaneControl } from './lane-control/lane-control';
import { registerLaneControl } from './lane-control/lane-control-metrics';
import { gpusToPlan } from './gpu-inventory';
import { planNode, readNodeFacts, type NodePlan } from './placement/plan-node';
import { preemptionOf } from './preemption';
import { processSpecs } from './processes';
import { SchedulerMetrics } from './scheduler-metrics';
import { schedulerStatus } from './scheduler-status';
import { lockDataDir } from './supervision/data-dir-lock';
import { holdListeningSocket } from './supervision/listening-socket';
import { ModelQuarantine } from './supervision/model-quarantine';
import { PidFiles } from './supervision/pid-files';
import { DEFAULT_TIMINGS, type ProcessSpec } from './supervision/process-spec';
import { sessionOf } from './supervision/proc-fs';
import { isBeforeReady, type Culprit } from './supervision/worker-death';
import { Supervisor } from './supervision/supervisor';

export const CONFIG = Symbol('Config');
export const LOGGER = Symbol('Logger');

/** How often models are judged and tried again. */
const REVIEW_MS = 500;

interface WorkerDeath {
  workerId: string;
  culprit: Culprit;
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
  private reviewTimer: NodeJS.Timeout | null = null;

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
      onCrash: (spec) => this.crashed(spec),
      onCulprit: ({ id }, culprit, reason) => this.workerDied(placement, metrics, { workerId: id, culprit, reason }),
    });
    this.placement = placement;
    this.supervisor = supervisor;
    const laneControl = this.controlLanes(placement, metrics);
    this.statusServer = await serveProcessStatus({
      socketPath: runPaths(runDir).statusSocket('scheduler'),
      registry: metrics.registry,
      status: () => schedulerStatus(placement, { preemption, laneControl: laneControl?.status() ?? null }, supervisor.processes),
      commands: {
        '/blame-input': (body) => (this.quarantine.inputBlamed(body as BlamedInput), {}),
        '/release': (body) => this.release(placement, body as ReleaseCommand),
      },
    });
    this.reviewTimer = setInterval(() => this.reviewQuarantine(placement), REVIEW_MS);
    await supervisor.start();
    this.warnOfOtherSessions(supervisor);
  }

  /** Drains in order: api, runner, workers, Redis. What was quarantined gets another chance at the next start. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.reviewTimer !== null) clearInterval(this.reviewTimer);
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
      this.log.info(
        { partition: id, class: partitionClass, cpus },
        `partition ${id}: ${partitionClass}, CPUs ${formatCpuList(cpus)} of ${formatCpuList(topology.effective)}`,
      );
    }
    for (const warning of warnings) this.log.warn(warning);
    const kept = pidFiles.anyRuns() ? this.quarantinedBefore() : [];
    this.quarantine = new ModelQuarantine(kept);
    const published = { ...placement, quarantined: [...kept] };
    this.publish(published);
    return published;
  }

  /** None where the file cannot be used: this scheduler writes it anew in any case. */
  private quarantinedBefore(): QuarantinedModel[] {
    try {
      return readPlacement(this.placementPath)?.quarantined ?? [];
    } catch (error) {
      if (!(error instanceof PlacementError)) throw error;
      this.log.warn({ reason: error.message }, 'what an earlier scheduler quarantined is not known');
      return [];
    }
  }

  /** The runner wants to know: a batch that was in work at several crashes fails. */
  private crashed({ id, kind }: ProcessSpec): void {
    if (kind !== 'runner') return;
    try {
      addCrash(runPaths(this.config.runDir).crashCount(id));
    } catch (error) {
      this.log.error({ err: error }, `cannot record a crash of ${id}`);
    }
  }

  /** Notes which model a worker died of; `reviewQuarantine` says what follows. */
  private workerDied(placement: Placement, metrics: SchedulerMetrics, { workerId, culprit, reason }: WorkerDeath): void {
    const plan = placement.workers.find(({ id }) => id === workerId);
    const model = plan?.models[culprit.model];
    if (plan === undefined || model === undefined) return;
    const blamed = { name: model.name, version: model.version, lane: plan.lane };
    metrics.workerDied(blamed);
    this.log.error(
      { child: workerId, model: blamed.name, version: blamed.version, reason },
      `${workerId} died of model ${blamed.name} version ${blamed.version}: ${reason}`,
    );
    this.quarantine.workerDied(blamed, reason, culprit.phase);
    if (isBeforeReady(culprit.phase)) this.publishQuarantine(placement, []); // the next worker loads it last
  }

  private reviewQuarantine(placement: Placement): void {
    const begun = this.quarantine.judge();
    for (const model of begun) this.log.error(model, `model ${model.name} version ${model.version} is ${model.reason}`);
    const due = this.quarantine.takeDue();
    if (begun.length + due.length > 0) this.publishQuarantine(placement, due);
  }

  private release(placement: Placement, { model, version, lane }: ReleaseCommand): { released: ModelOfLane[] } {
    const released = this.quarantine.release(model, version ?? null, lane ?? null);
    if (released.length > 0) this.publishQuarantine(placement, released);
    return { released };
  }

  /** `released`: what workers may load again, for which they have to be started again. */
  private publishQuarantine(placement: Placement, released: QuarantinedModel[]): void {
    placement.quarantined = this.quarantine.models();
    placement.loadLast = this.quarantine.suspects();
    try {
      this.publish(placement);
    } catch (error) {
      this.log.error({ err: error }, 'cannot write the quarantine; it takes effect with the next change of the placement');
    }
    for (const model of released) {
      this.log.warn(model, `model ${model.name} version ${model.version} is tried again in the ${model.lane} lane`);
      if (model.isUnloaded) this.renewWorkersOf(placement, model);
    }
  }

  private renewWorkersOf({ workers }: Placement, { name, version, lane }: ModelOfLane): void {
    const plans = workers.filter(
      (plan) => plan.lane === lane && plan.models.some((model) => model.name === name && model.version === version),
    );
    for (const process of this.supervisor?.processes ?? []) if (plans.some(({ id }) => id === process.spec.id)) process.renew();
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
      this.log.warn(
        { sessions },
        'the workers are in different sessions, so the batch lane does not give way to live requests; restart the node, or set kernel.sched_autogroup_enabled=0',
      );
    }
  }
}
