import { closeSync } from 'node:fs';
import { runPaths, type Config } from '@app/config';
import { addCrash } from '@app/process';
import { autogroupEnabled } from '@app/system';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { giveNotice } from './drain-notice';
import type { LaneControl } from './lane-control/lane-control';
import { NodeObserver } from './observation/node-observer';
import { PublishedPlacement } from './placement/published-placement';
import { ModelRepository } from './repository/model-repository';
import { SchedulerStatus } from './scheduler-status';
import type { ListeningSockets } from './supervision/listening-socket';
import type { ProcessSpec } from './supervision/process-spec';
import { sessionOf } from './supervision/proc-fs';
import { QuarantineKeeper } from './supervision/quarantine-keeper';
import { Supervisor } from './supervision/supervisor';
import { SupervisorEvents } from './supervision/supervisor-events';
import { CONFIG, LANE_CONTROL, LISTENING_SOCKETS, LOGGER } from './tokens';

/** Starts what the node was planned to be, and drains it, in order. */
@Injectable()
export class NodeScheduler implements OnApplicationShutdown {
  private isHurried = false;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
    @Inject(LANE_CONTROL) private readonly laneControl: LaneControl | null,
    private readonly placement: PublishedPlacement,
    private readonly supervisor: Supervisor,
    private readonly quarantine: QuarantineKeeper,
    private readonly repository: ModelRepository,
    private readonly status: SchedulerStatus,
    private readonly observer: NodeObserver,
    @Inject(LISTENING_SOCKETS) private readonly sockets: ListeningSockets | null,
    events: SupervisorEvents,
  ) {
    events.on('crash', (spec) => this.crashed(spec));
  }

  /** Resolves when every process was started or adopted; each waits by itself for what it needs. */
  async start(): Promise<void> {
    this.laneControl?.start();
    await this.status.open();
    this.quarantine.start();
    await this.supervisor.start();
    this.repository.start();
    this.observer.start();
    this.warnOfOtherSessions();
  }

  /** Gives notice, then drains in order: Envoy, api, runner, workers, Redis; one deadline for all of it. What was quarantined gets another chance at the next start. */
  async onApplicationShutdown(): Promise<void> {
    const beganMs = performance.now();
    await giveNotice(this.config, this.log, () => this.isHurried);
    this.quarantine.stop();
    await this.repository.stop();
    await this.laneControl?.stop();
    const remainingMs = Math.max(0, this.config.drainTimeoutMs - (performance.now() - beganMs));
    this.closeSockets();
    await this.observer.stop();
    await this.supervisor.stop(remainingMs);
    await this.status.close();
    this.placement.publishWithoutQuarantine();
  }

  /** The API processes have them still; once they end, callers are refused instead of waiting for the end of the others. */
  private closeSockets(): void {
    for (const fd of Object.values(this.sockets ?? {})) closeSync(fd);
  }

  /** The operator will not wait: everything but Redis ends now. */
  hurry(): void {
    this.isHurried = true;
    this.supervisor.hurry();
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

  /** With autogroups, priorities hold within one session only; workers kept from an earlier scheduler may be in another. */
  private warnOfOtherSessions(): void {
    if (!autogroupEnabled()) return;
    const { processes } = this.supervisor;
    const sessions = processes.filter(({ spec, pid }) => spec.kind === 'worker' && pid !== null).map(({ pid }) => sessionOf(pid ?? 0));
    if (new Set(sessions).size > 1) {
      this.log.warn(
        { sessions },
        'the workers are in different sessions, so the batch lane does not give way to live requests; restart the node, or set kernel.sched_autogroup_enabled=0',
      );
    }
  }
}
