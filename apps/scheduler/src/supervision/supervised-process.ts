import type { ProcessState } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { busyMs, readCpuUse, type CpuUse } from './cpu-use';
import type { Activity, HeartbeatFile } from './heartbeat-file';
import { HeartbeatWatch } from './heartbeat-watch';
import { adoptProcess, launchProcess, type ProcessExit, type ProcessHandle } from './process-handle';
import type { ProcessIdentity } from './proc-fs';
import type { ProcessSpec, SupervisionTimings } from './process-spec';
import { RestartPolicy } from './restart-policy';
import { culpritOf, type Culprit } from './worker-death';

/** What a supervised process needs from its owner. */
export interface SupervisionContext {
  log: Logger;
  timings: SupervisionTimings;
  onLaunched(spec: ProcessSpec, identity: ProcessIdentity): void;
  onExited(spec: ProcessSpec): void;
  onRestart(spec: ProcessSpec): void;
  /** The process died of what it did with a model of its plan. */
  onCulprit(spec: ProcessSpec, culprit: Culprit, reason: string): void;
  /** The process ended by what it did itself, or hung and was killed. */
  onCrash(spec: ProcessSpec): void;
}

/**
 * Keeps one process running.
 *
 * | state    | a process runs | left by                                                                      |
 * |----------|----------------|------------------------------------------------------------------------------|
 * | stopped  | no             | start, adopt → starting                                                      |
 * | starting | yes            | first answer → ready; exit → backoff; stop → draining                        |
 * | ready    | yes            | exit → backoff; stop → draining                                              |
 * | backoff  | no             | delay over → starting; stop → stopped                                        |
 * | draining | yes            | exit → stopped                                                               |
 *
 * A process that does not answer for too long while starting or ready is killed, and takes the way of any exit; so is one
 * whose heart, once it has begun, stands still.
 */
export class SupervisedProcess {
  private current: ProcessState = 'stopped';
  private handle: ProcessHandle | null = null;
  private readonly policy: RestartPolicy;
  private timer: NodeJS.Timeout | null = null;
  private heartbeatTimer: NodeJS.Timeout | null = null;
  private failedProbes = 0;
  private silence: { sinceMs: number; use: CpuUse | null; busyMs: number } = { sinceMs: 0, use: null, busyMs: 0 };
  private wasHung = false;
  private restartCount = 0;
  private lastReason: string | null = null;
  private readonly stoppedWaiters: (() => void)[] = [];

  constructor(
    readonly spec: ProcessSpec,
    private readonly context: SupervisionContext,
  ) {
    this.policy = new RestartPolicy(context.timings);
  }

  get state(): ProcessState {
    return this.current;
  }

  get pid(): number | null {
    return this.handle?.identity?.pid ?? null;
  }

  get restarts(): number {
    return this.restartCount;
  }

  /** Why it last ended; null while it never did. */
  get reason(): string | null {
    return this.lastReason;
  }

  /** What a process with a heartbeat is busy with. */
  get activities(): Activity[] {
    return this.handle?.heartbeat?.read().activities ?? [];
  }

  start(): void {
    this.expect('stopped');
    this.launch();
  }

  /** Looks after a process that runs already. */
  adopt(identity: ProcessIdentity): void {
    this.expect('stopped');
    this.watch(adoptProcess(identity, this.spec.heartbeatSlots));
  }

  /** Asks it to finish; resolves when it has ended and will not be started again. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.current === 'stopped') return;
    const stopped = new Promise<void>((resolve) => this.stoppedWaiters.push(resolve));
    if (this.current === 'backoff') this.enter('stopped');
    else if (this.current !== 'draining') {
      this.enter('draining');
      this.handle?.signal('SIGTERM');
    }
    await stopped;
  }

  /** Ends it at once. It is started again unless it is being stopped. */
  kill(): void {
    this.handle?.signal('SIGKILL');
  }

  /** Lets it finish what it has and starts it again. */
  renew(): void {
    if (this.current === 'starting' || this.current === 'ready') this.handle?.signal('SIGTERM');
  }

  private launch(): void {
    const handle = launchProcess(this.spec);
    if (handle.identity !== null) this.context.onLaunched(this.spec, handle.identity);
    this.watch(handle);
  }

  private watch(handle: ProcessHandle): void {
    this.handle = handle;
    this.failedProbes = 0;
    this.wasHung = false;
    this.silence = { sinceMs: performance.now(), use: this.cpuUse('main'), busyMs: 0 };
    this.enter('starting');
    void handle.exited.then((exit) => this.exited(handle, exit));
    if (handle.heartbeat !== null) this.watchHeartbeat(handle.heartbeat);
    if (handle.identity !== null) this.probeAfter(this.context.timings.startingProbeIntervalMs);
  }

  private exited({ heartbeat }: ProcessHandle, exit: ProcessExit): void {
    const { reason } = exit;
    this.handle = null;
    this.context.onExited(this.spec);
    if (this.heartbeatTimer !== null) clearTimeout(this.heartbeatTimer);
    const culprit = heartbeat === null ? null : culpritOf(exit, heartbeat.read());
    heartbeat?.close();
    if (culprit !== null) this.context.onCulprit(this.spec, culprit, reason);
    if (exit.isCrash || this.wasHung) this.context.onCrash(this.spec);
    if (this.current === 'draining') {
      this.enter('stopped');
      return;
    }
    const { delayMs, stormBegins } = this.policy.ended(culprit !== null);
    this.lastReason = reason;
    const fields = { child: this.spec.id, reason, restartInMs: delayMs };
    this.context.log.warn(fields, `${this.spec.id} ended: ${reason}`);
    if (stormBegins)
      this.context.log.error(
        fields,
        `${this.spec.id} is crash-looping; it is now restarted at most every ${this.context.timings.backoffMaxMs} ms`,
      );
    this.enter('backoff');
    this.timer = setTimeout(() => this.restart(), delayMs);
  }

  private restart(): void {
    this.restartCount++;
    this.context.onRestart(this.spec);
    this.launch();
  }

  /** Whatever the state: a frozen process does not drain either. */
  private watchHeartbeat(heartbeat: HeartbeatFile): void {
    const { heartbeatLookMs, missedBeatsMax, missedBeatsStarvedMax } = this.context.timings;
    const watch = new HeartbeatWatch();
    let use: CpuUse | null = null;
    const look = (): void => {
      const missed = watch.missedBeats(heartbeat.read().beats);
      if (missed === 1) use = this.cpuUse('all');
      const isFrozen = missed >= missedBeatsMax && busyMs(use, this.cpuUse('all'), missed * heartbeatLookMs) === null;
      if (!isFrozen && missed < missedBeatsStarvedMax) return this.lookAfter(look, heartbeatLookMs);
      this.context.log.error(
        { child: this.spec.id, childPid: this.pid },
        `${this.spec.id} has had no heartbeat for ${missed * heartbeatLookMs} ms; killing it`,
      );
      this.killHung();
    };
    this.lookAfter(look, heartbeatLookMs);
  }

  private lookAfter(look: () => void, delayMs: number): void {
    this.heartbeatTimer = setTimeout(look, delayMs);
  }

  private probeAfter(delayMs: number): void {
    const handle = this.handle;
    this.timer = setTimeout(() => {
      const begunMs = performance.now();
      void this.spec.probe(this.context.timings.probeTimeoutMs).then(
        () => this.probed(handle, true, begunMs),
        () => this.probed(handle, false, begunMs),
      );
    }, delayMs);
  }

  /**
   * Failures are counted, not timed: after a pause of the whole machine or of this process one probe has failed. One that ran
   * into its timeout counts as those that would have been sent meanwhile.
   */
  private probed(handle: ProcessHandle | null, answered: boolean, begunMs: number): void {
    if (this.handle !== handle || (this.current !== 'starting' && this.current !== 'ready')) return;
    const { timings, log } = this.context;
    const intervalMs = this.current === 'starting' ? timings.startingProbeIntervalMs : timings.probeIntervalMs;
    const tookMs = Math.min(performance.now() - begunMs, timings.probeTimeoutMs);
    if (answered) this.silence = { sinceMs: performance.now(), use: this.cpuUse('main'), busyMs: 0 };
    this.failedProbes = answered ? 0 : this.failedProbes + Math.max(1, tookMs / intervalMs);
    if (answered && this.current === 'starting') {
      log.info({ child: this.spec.id, childPid: this.pid }, `${this.spec.id} is ready`);
      this.enter('ready');
    }
    if (answered) this.policy.answered();
    const starting = this.current === 'starting';
    if (this.failedProbes >= (starting ? timings.failedStartingProbesMax : timings.failedProbesMax)) {
      if (this.isHung()) {
        log.error({ child: this.spec.id, childPid: this.pid }, `${this.spec.id} does not answer; killing it`);
        this.killHung();
        return;
      }
      log.warn(
        { child: this.spec.id, childPid: this.pid, busyMs: this.silence.busyMs },
        `${this.spec.id} does not answer, but uses or waits for a CPU; giving it more time`,
      );
      this.failedProbes = 0;
    }
    this.probeAfter(Math.max(0, intervalMs - tookMs));
  }

  /** Neither starved nor busy since the last answer, or the last time this was asked; or busy for too long. */
  private isHung(): boolean {
    const { sinceMs, use, busyMs: busyBeforeMs } = this.silence;
    const nowMs = performance.now();
    const now = this.cpuUse('main');
    const newMs = busyMs(use, now, nowMs - sinceMs);
    if (newMs === null) return true;
    this.silence = { sinceMs: nowMs, use: now, busyMs: busyBeforeMs + newMs };
    return this.silence.busyMs >= this.context.timings.busyMsMax;
  }

  private cpuUse(threads: 'main' | 'all'): CpuUse | null {
    return this.pid === null ? null : readCpuUse(this.pid, threads);
  }

  private killHung(): void {
    this.wasHung = true;
    this.kill();
  }

  /** The one setter of the state; a timer belongs to the state that set it. */
  private enter(state: ProcessState): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (state === 'starting') this.policy.started();
    this.current = state;
    if (state === 'stopped') for (const resolve of this.stoppedWaiters.splice(0)) resolve();
  }

  private expect(state: ProcessState): void {
    if (this.current !== state) throw new Error(`${this.spec.id}: expected state ${state} but it is ${this.current}`);
  }
}
