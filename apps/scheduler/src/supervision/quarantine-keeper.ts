import type { BlamedInput, ModelOfLane, QuarantinedModel, ReleaseCommand } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable } from '@nestjs/common';
import { PublishedPlacement } from '../placement/published-placement';
import { SchedulerMetrics } from '../scheduler-metrics';
import { LOGGER } from '../tokens';
import { ModelQuarantine } from './model-quarantine';
import { PlacedRevisions } from './placed-revisions';
import { Supervisor } from './supervisor';
import { SupervisorEvents } from './supervisor-events';
import { isBeforeReady, type Culprit } from './worker-death';

/** How often models are judged and tried again. */
const REVIEW_MS = 500;

/** Takes models out of service that kill workers, and back: judges in time, tells the other processes, and renews workers. */
@Injectable()
export class QuarantineKeeper {
  private readonly quarantine: ModelQuarantine;
  private readonly revisions = new PlacedRevisions();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    @Inject(LOGGER) private readonly log: Logger,
    private readonly placement: PublishedPlacement,
    private readonly supervisor: Supervisor,
    private readonly metrics: SchedulerMetrics,
    private readonly events: SupervisorEvents,
  ) {
    this.quarantine = new ModelQuarantine(placement.current.quarantined);
    events.on('culprit', ({ id }, culprit, reason) => this.workerDied(id, culprit, reason));
  }

  start(): void {
    this.timer = setInterval(() => this.review(), REVIEW_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
  }

  models(): readonly QuarantinedModel[] {
    return this.quarantine.models();
  }

  /** The files of which workers died are not run any more. Takes effect with the next placement. */
  forget(name: string, version: string): void {
    this.quarantine.forget(name, version);
    this.placement.note({ quarantined: this.quarantine.models(), loadLast: this.quarantine.suspects() });
  }

  inputBlamed(input: BlamedInput): void {
    this.quarantine.inputBlamed(input);
  }

  release({ model, version, lane }: ReleaseCommand): { released: ModelOfLane[] } {
    const released = this.quarantine.release(model, version ?? null, lane ?? null);
    if (released.length > 0) this.publish(released);
    return { released };
  }

  /** Notes which model a worker died of; `review` says what follows. */
  private workerDied(workerId: string, culprit: Culprit, reason: string): void {
    this.revisions.note(this.placement.current);
    const plan = this.placement.current.workers.find(({ id }) => id === workerId);
    const model = this.revisions.get(culprit.revision);
    if (plan === undefined || model === undefined) return;
    const blamed = { name: model.name, version: model.version, lane: plan.lane };
    this.metrics.workerDied(blamed);
    this.log.error(
      { child: workerId, model: blamed.name, version: blamed.version, reason },
      `${workerId} died of model ${blamed.name} version ${blamed.version}: ${reason}`,
    );
    this.quarantine.workerDied(blamed, reason, culprit.phase);
    if (isBeforeReady(culprit.phase)) this.publish([]); // the next worker loads it last
    this.events.emit('revisionDeath', model.revision, reason);
  }

  private review(): void {
    this.revisions.note(this.placement.current);
    const begun = this.quarantine.judge();
    for (const model of begun) this.log.error(model, `model ${model.name} version ${model.version} is ${model.reason}`);
    const due = this.quarantine.takeDue();
    if (begun.length + due.length > 0) this.publish(due);
  }

  /** `released`: what workers may load again, for which they have to be started again. */
  private publish(released: QuarantinedModel[]): void {
    try {
      this.placement.change({ quarantined: this.quarantine.models(), loadLast: this.quarantine.suspects() });
    } catch (error) {
      this.log.error({ err: error }, 'cannot write the quarantine; it takes effect at the next change of the placement');
    }
    for (const model of released) {
      this.log.warn(model, `model ${model.name} version ${model.version} is tried again in the ${model.lane} lane`);
      if (model.isUnloaded) this.renewWorkersOf(model);
    }
  }

  private renewWorkersOf({ name, version, lane }: ModelOfLane): void {
    const plans = this.placement.current.workers.filter(
      (plan) => plan.lane === lane && plan.models.some((model) => model.name === name && model.version === version),
    );
    for (const process of this.supervisor.processes) if (plans.some(({ id }) => id === process.spec.id)) process.renew();
  }
}
