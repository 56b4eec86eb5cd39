import { runPaths } from '@app/config';
import {
  workersBeside,
  type BatchControlStatus,
  type GuardStatus,
  type LaneControlStatus,
  type Placement,
  type WorkerLaneReport,
  type WorkerPlan,
} from '@app/contracts';
import { ControlPage } from '@app/native';
import { fetchLaneReport } from '@app/process';
import { type Logger } from '@app/telemetry';
import { commandOf, freeBatchLane, stateOf, stepBatchControl, type BatchControl, type LiveObservation } from './batch-controller';
import { noHoldOff, stepHoldOff } from './hold-off-slots';
import { LiveAnswers } from './live-answers';
import { BATCH_RUN_MS_MAX, LIMITS_VALID_MS, TICK_MS } from './thresholds';

export interface LaneControlOptions {
  placement: Placement;
  runDir: string;
  /** Share of executor time, while the controller allows no batch executors. */
  floorShare: number;
  /** Share of the slots with both live and batch traffic. */
  holdOffShare: number;
  log: Logger;
}

interface LiveSide {
  plan: WorkerPlan;
  page: ControlPage;
  answers: LiveAnswers;
  withdrawals: number;
}

interface BatchSide {
  plan: WorkerPlan;
  page: ControlPage;
  /** Live workers that it can disturb. */
  besideIds: string[];
  control: BatchControl;
  runs: number;
  wasActive: boolean;
}

/** Limits the batch workers of this node for the sake of its live answers: the loop around the pure steps. */
export class LaneControl {
  private readonly live: LiveSide[];
  private readonly batch: BatchSide[];
  private slots = noHoldOff(process.pid);
  private timer: NodeJS.Timeout | null = null;
  private turn: Promise<void> | null = null;

  /** Throws when the shared pages cannot be mapped. */
  constructor(private readonly options: LaneControlOptions) {
    const { workers } = options.placement;
    const pageOf = ({ id }: WorkerPlan): ControlPage => new ControlPage(runPaths(options.runDir).controlPage(id));
    const inLane = (lane: WorkerPlan['lane']): WorkerPlan[] => workers.filter((worker) => worker.lane === lane);
    this.live = inLane('realtime').map((plan) => ({ plan, page: pageOf(plan), answers: new LiveAnswers(plan), withdrawals: 0 }));
    this.batch = inLane('batch').map((plan) => ({
      plan,
      page: pageOf(plan),
      besideIds: workersBeside(plan, workers).map(({ id }) => id),
      runs: 0,
      wasActive: false,
      control: freeBatchLane(plan.cpus.length, performance.now()),
    }));
  }

  start(): void {
    this.timer = setInterval(() => {
      this.turn ??= this.takeTurn()
        .catch((error: Error) => this.options.log.error({ err: error }, 'lane control failed'))
        .finally(() => (this.turn = null));
    }, TICK_MS);
  }

  /** Batch workers are free from then on. */
  async stop(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    await this.turn;
    for (const { page } of this.batch) page.limit({ isHeldOff: false, withheld: 0, halvings: 0, floorPermille: 0, validMs: 0 });
  }

  status(): LaneControlStatus {
    return {
      isHeldOff: this.slots.isHeldOff,
      heldOffSlots: this.slots.heldOffSlots,
      batchWorkers: this.batch.map(batchStatus),
      guards: this.live.map(guardStatus),
      inflation: this.live.flatMap(({ plan, answers }) => answers.inflation().map((inflation) => ({ worker: plan.id, ...inflation }))),
    };
  }

  private async takeTurn(): Promise<void> {
    const reports = await Promise.all(this.live.map(({ plan }) => this.reportOf(plan.id)));
    const nowMs = performance.now();
    const observed = new Map<string, LiveObservation[]>();
    for (const [index, { plan, answers }] of this.live.entries()) {
      const fresh = answers.read(reports[index] ?? null, nowMs);
      observed.set(
        plan.id,
        fresh.map(({ model, version, sloMs, all }) => ({ model: `${model} ${version} in ${plan.id}`, sloMs, fresh: all })),
      );
    }
    const hasLive = [...observed.values()].flat().some(({ fresh }) => fresh.total > 0);
    for (const side of this.batch) this.stepBatch(side, observed, nowMs);
    // While the lane is paused nothing is shared, and a slot would show nothing.
    const hasBatch = this.batch.some(({ wasActive, control }) => wasActive && control.pausedUntilMs === null);
    this.slots = stepHoldOff(this.slots, hasLive && hasBatch, this.options.holdOffShare, nowMs);
    for (const side of this.batch) this.limit(side);
    this.logGuards();
  }

  private stepBatch(side: BatchSide, observed: ReadonlyMap<string, LiveObservation[]>, nowMs: number): void {
    const { running, runs } = side.page.read();
    // A slot without batch runs says nothing about whether there is work.
    if (!this.slots.isHeldOff) side.wasActive = running > 0 || runs !== side.runs;
    side.runs = runs;
    const live = side.besideIds.flatMap((id) => observed.get(id) ?? []);
    const before = side.control;
    side.control = stepBatchControl(before, { live, batchIsActive: side.wasActive }, nowMs);
    const { reason } = side.control;
    if (reason === before.reason) return;
    const level = side.control.isUnreachable ? 'warn' : 'info';
    this.options.log[level]({ child: side.plan.id, ...commandOf(side.control) }, `${side.plan.id}: ${reason}`);
  }

  private limit({ page, control, plan }: BatchSide): void {
    const { executors, halvings } = commandOf(control);
    page.limit({
      isHeldOff: this.slots.isHeldOff,
      withheld: plan.cpus.length - executors,
      halvings,
      floorPermille: Math.max(1, Math.round(this.options.floorShare * 1000)),
      validMs: LIMITS_VALID_MS,
    });
  }

  private logGuards(): void {
    for (const side of this.live) {
      const { guardWithdrawals, guardWithdrawn, guardLatest, guardLimit } = side.page.read();
      if (guardWithdrawals > side.withdrawals) {
        const fields = { child: side.plan.id, withdrawn: guardWithdrawn, ratio: guardLatest, limit: guardLimit };
        this.options.log.info(
          fields,
          `${side.plan.id}: batch executors withdrawn, because live runs cost more beside batch runs than alone`,
        );
      }
      side.withdrawals = guardWithdrawals;
    }
  }

  private reportOf(workerId: string): Promise<WorkerLaneReport | null> {
    return fetchLaneReport(runPaths(this.options.runDir).statusSocket(workerId)).catch(() => null);
  }
}

function batchStatus({ plan, page, control }: BatchSide): BatchControlStatus {
  const { executors, halvings } = commandOf(control);
  return {
    worker: plan.id,
    state: stateOf(control),
    executors,
    executorsMax: control.executorsMax,
    runMsMax: BATCH_RUN_MS_MAX / 2 ** halvings,
    slack: control.verdict?.slack ?? null,
    reason: control.reason,
    floorRuns: page.read().floorRuns,
  };
}

function guardStatus({ plan, page }: LiveSide): GuardStatus {
  const { guardWithdrawn, guardWithdrawals, guardLatest, guardLimit } = page.read();
  return {
    worker: plan.id,
    withdrawn: guardWithdrawn,
    withdrawals: guardWithdrawals,
    ratio: guardLatest || null,
    limit: guardLimit || null,
  };
}
