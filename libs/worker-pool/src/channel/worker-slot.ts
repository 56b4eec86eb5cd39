import { runsAtOnce, type ModelReport, type ModelSignature, type WorkerPlan, type WorkerReport } from '@app/contracts';
import type { ChannelItem } from '@app/native';
import { Backlog } from '../admission/backlog';
import { ByteCosts } from '../admission/byte-costs';
import { AnswerSize } from './answer-size';
import { type AnswerReceiver, ChannelClient } from './channel-client';
import { CostEstimate } from '../admission/model-cost';
import { modelKey } from '../placement/model-directory';

export interface SlotListener {
  /** The worker connected or reported something new about its models. */
  changed(): void;
  /** Its connection ended; each of its items has had its answer. */
  down(slot: WorkerSlot): void;
  room(): void;
}

export interface ReadyModel {
  revision: number;
  signature: ModelSignature;
  cost: CostEstimate | null;
  byteCosts: ByteCosts;
  answerSize: AnswerSize;
}

/**
 * In the batch lane nobody waits for a single answer, while each wake-up interrupts an executor: about one run's answers at
 * a time.
 */
const GATHER_MS = { realtime: 0, batch: 10 };

/** One worker of the placement: its plan, its channel, and its last word about its models. */
export class WorkerSlot {
  /** How many parked items to offer at once; adapted to what it took. */
  sliceItems = 64;
  /** The items in flight whose cost was predicted. */
  readonly backlog = new Backlog();
  /** How often the predicted wait must fit before a deadline; 0: nothing was measured yet. */
  waitFactor = 0;
  /** Costs of requests to any model. */
  readonly byteCosts = new ByteCosts();
  private readonly client: ChannelClient;
  private report: WorkerReport | null = null;
  private ready = new Map<string, ReadyModel>();
  private readonly lastReady = new Map<string, ModelReport>();

  constructor(
    public plan: WorkerPlan,
    listener: SlotListener,
  ) {
    const take = (report: WorkerReport): void => {
      for (const model of report.models) if (model.state === 'ready') this.lastReady.set(modelKey(model), model);
      const reported = new Set(report.models.map(modelKey));
      for (const key of this.lastReady.keys()) if (!reported.has(key)) this.lastReady.delete(key); // retired
      this.report = report;
      this.ready = readyModels(report, this.ready, (key) => this.executorsPerRun(key));
      listener.changed();
    };
    this.client = new ChannelClient(
      { ...plan, gatherMs: GATHER_MS[plan.lane] },
      {
        up: take,
        report: take,
        room: () => listener.room(),
        down: () => listener.down(this),
      },
    );
    this.client.start();
  }

  /**
   * The worker's report, or its last one while it is down. Models that it has not reported yet are loading. One that a
   * restarted worker loads again counts as ready all the time, so that requests wait for it instead of being refused.
   */
  reports(): ModelReport[] {
    const reported = (this.report?.models ?? []).map((model) =>
      model.state === 'loading' ? (this.lastReady.get(modelKey(model)) ?? model) : model,
    );
    const unreported = this.plan.models.filter((plan) => !reported.some((report) => modelKey(report) === modelKey(plan)));
    return [
      ...reported,
      ...unreported.map(({ name, version, revision }): ModelReport => {
        return { name, version, revision, state: 'loading', reason: null, signature: null, cost: null };
      }),
    ];
  }

  /** The model version when it can be run here now, else null. */
  readyModel(key: string): ReadyModel | null {
    return this.client.isUp ? (this.ready.get(key) ?? null) : null;
  }

  /** Whether its worker runs equal items of a model version once. */
  runsEqualOnce(key: string): boolean {
    return this.plan.models.find((model) => modelKey(model) === key)?.deduplicate ?? false;
  }

  /** Its executors, divided by the runs of a model version that there can be at once: what a run takes of all of them. */
  private executorsPerRun(key: string): number {
    const { executorThreads = 1 } = this.plan.models.find((model) => modelKey(model) === key) ?? {};
    return this.executors / Math.max(1, runsAtOnce(this.executors, executorThreads));
  }

  get inFlightItems(): number {
    return this.client.inFlightItems;
  }

  get executors(): number {
    return Math.max(1, this.plan.cpus.length);
  }

  get roomItems(): number {
    return Math.max(0, this.plan.queueItemsMax - this.client.inFlightItems);
  }

  /** As `ChannelClient.submit`. */
  submit(items: ChannelItem[], receivers: AnswerReceiver[]): number[] | null {
    return this.client.submit(items, receivers);
  }

  cancel(itemId: number): void {
    this.client.cancel(itemId);
  }

  /** The worker's socket may be there now. */
  retryNow(): void {
    this.client.retryNow();
  }

  /** Whether the channel of this slot suits a new plan of the same worker. */
  suits(plan: WorkerPlan): boolean {
    const { socketPath, channelBytes, queueItemsMax } = this.plan;
    return plan.socketPath === socketPath && plan.channelBytes === channelBytes && plan.queueItemsMax === queueItemsMax;
  }

  close(): void {
    this.client.close();
  }
}

function readyModels(
  report: WorkerReport,
  last: Map<string, ReadyModel>,
  executorsPerRun: (key: string) => number,
): Map<string, ReadyModel> {
  const ready = new Map<string, ReadyModel>();
  report.models.forEach((model) => {
    const { revision, state, signature, cost } = model;
    if (state !== 'ready' || signature === null) return;
    const key = modelKey(model);
    ready.set(key, {
      revision,
      signature,
      cost: cost === null ? null : CostEstimate.of(cost, executorsPerRun(key), last.get(key)?.cost ?? null),
      byteCosts: last.get(key)?.byteCosts ?? new ByteCosts(),
      answerSize: last.get(key)?.answerSize ?? new AnswerSize(),
    });
  });
  return ready;
}
