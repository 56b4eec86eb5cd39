import type { ProcessKind } from '@app/config';
import { endProcess } from './process-handle';
import { matches, PidFiles } from './pid-files';
import { isRunning, type ProcessIdentity } from './proc-fs';
import type { ProcessSpec } from './process-spec';
import { SupervisedProcess, type SupervisionContext } from './supervised-process';

/** The proxy has nothing in flight by then. Live answers stop being accepted next; Redis goes last, when nobody needs it. */
const DRAIN_ORDER: readonly ProcessKind[] = ['envoy', 'api', 'runner', 'worker', 'redis'];
/** Redis is given this long to write its file, whatever time the others took. */
const REDIS_EXIT_MS = 5000;
const RECORD_AGAIN_MS = 5000;

/** All processes of this node: starts or adopts them, stops them in order. */
export class Supervisor {
  readonly processes: readonly SupervisedProcess[];
  private stopping: Promise<void> | null = null;

  /** `specs` in the order of starting. */
  constructor(
    private readonly specs: readonly ProcessSpec[],
    private readonly pidFiles: PidFiles,
    private readonly context: Pick<SupervisionContext, 'log' | 'timings' | 'onRestart' | 'onCulprit' | 'onCrash'>,
  ) {
    const childContext: SupervisionContext = {
      ...context,
      onLaunched: (spec, identity) => this.record(spec, identity),
      onExited: (spec) => pidFiles.remove(spec.id),
    };
    this.processes = specs.map((spec) => new SupervisedProcess(spec, childContext));
  }

  /** Starts everything without waiting for anything to be ready: each process waits by itself for what it needs. */
  async start(): Promise<void> {
    const leftovers = this.pidFiles.ids().filter((id) => !this.specs.some((spec) => spec.id === id));
    await Promise.all([...this.processes.map((process) => this.startOne(process)), ...leftovers.map((id) => this.endLeftover(id))]);
  }

  /** Drains within `deadlineMs`; what has not ended by then is killed. Every call waits for the same stop. */
  stop(deadlineMs: number): Promise<void> {
    this.stopping ??= this.drain(performance.now() + deadlineMs);
    return this.stopping;
  }

  /** During `stop`: ends at once what still drains; Redis still writes its file. */
  hurry(): void {
    for (const process of this.processes) if (process.spec.kind !== 'redis') process.kill();
  }

  /** For the next scheduler. A full disk is no reason to end: it is tried again for as long as the process runs. */
  private record(spec: ProcessSpec, identity: ProcessIdentity): void {
    try {
      this.pidFiles.write(spec.id, identity, spec.fingerprint);
    } catch (error) {
      this.context.log.error(
        { child: spec.id, childPid: identity.pid },
        `cannot write the pid file of ${spec.id}, trying again every ${RECORD_AGAIN_MS / 1000} s: ${(error as Error).message}`,
      );
      setTimeout(() => isRunning(identity) && this.record(spec, identity), RECORD_AGAIN_MS).unref();
    }
  }

  private async startOne(supervised: SupervisedProcess): Promise<void> {
    if (this.stopping !== null) return;
    const { spec } = supervised;
    const record = this.pidFiles.read(spec.id);
    if (record !== null && isRunning(record)) {
      if (matches(record, spec.fingerprint)) {
        this.context.log.info({ child: spec.id, childPid: record.pid }, `${spec.id} is running already and is kept`);
        supervised.adopt(record);
        return;
      }
      this.context.log.info({ child: spec.id, childPid: record.pid }, `${spec.id} was started differently and is replaced`);
      await endProcess(record);
    }
    if (this.stopping === null) supervised.start();
  }

  private async endLeftover(id: string): Promise<void> {
    const record = this.pidFiles.read(id);
    if (record !== null && isRunning(record)) {
      this.context.log.info({ child: id, childPid: record.pid }, `${id} is no longer part of the plan and is ended`);
      await endProcess(record);
    }
    this.pidFiles.remove(id);
  }

  private async drain(deadlineAtMs: number): Promise<void> {
    for (const kind of DRAIN_ORDER) {
      const remainingMs = kind === 'redis' ? REDIS_EXIT_MS : Math.max(0, deadlineAtMs - performance.now());
      await Promise.all(this.processes.filter(({ spec }) => spec.kind === kind).map((process) => this.stopOne(process, remainingMs)));
    }
  }

  private async stopOne(supervised: SupervisedProcess, deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.context.log.error({ child: supervised.spec.id }, `${supervised.spec.id} did not drain in time; killing it`);
      supervised.kill();
    }, deadlineMs);
    await supervised.stop();
    clearTimeout(timer);
  }
}
