import { runPaths, type Config } from '@app/config';
import { InterleaveError, RevisionGone, type DecideCommand, type ErrorCode, type ModelComparison } from '@app/contracts';
import type { ModelView, ServedModel } from '@app/models';
import { commandProcess, PlacementReader } from '@app/process';
import type { PreparedRequest } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { LiveCall } from '../live/live-call';
import type { ReadBody } from '../live/read-body';
import { AskedCatalog, InsteadCatalog } from '../resilience/degradation';
import type { CachedAnswer } from '../response-cache/cached-runs';
import { CATALOG, CONFIG, LOGGER } from '../tokens';
import type { CanaryTrial } from './canary-trial';
import type { ComparisonTally } from './comparison-tally';
import type { Judgement } from './judge';
import { ReleaseMetrics } from './release-metrics';
import { ReleaseState } from './release-state';
import { ShadowRuns, type LiveAnswer, type Shadowed, type ShadowRun } from './shadow-runs';

const JUDGE_MS = 1000;
const DECIDE_MS_MAX = 5000;
/** After it did not listen. */
const AGAIN_MS = 5000;
const COMPARISONS_MAX = 256;

/** Faults of ours, and runs that fail, which may be the input's fault: then they fail on the stable version as well. */
const FAULTS: ReadonlySet<ErrorCode> = new Set(['internal', 'worker_unavailable', 'model_not_servable', 'inference_failed']);

/** One answer to a live request. */
export interface Answered<Answer> extends CachedAnswer {
  prepared: PreparedRequest<Answer>;
  response: Answer;
}

/** How a request came to the version that it was prepared for last. */
interface Route {
  state: ReleaseState | null;
  /** What it is evidence for; null: none goes on, or one of other files by now. */
  trial: CanaryTrial | null;
  prepared: PreparedRequest<unknown> | null;
  /** Null: its caller named a version or a label. */
  by: 'canary' | 'stable' | null;
  /** As its caller asked for. */
  readonly options: LiveCall['options'];
}

/** What a comparison is counted for. */
interface Evidence {
  state: ReleaseState;
  trial: CanaryTrial | null;
  tally: ComparisonTally;
}

/**
 * What release.yaml asks of this process: judges canaries, mirrors requests, compares answers. The scheduler decides, on
 * what is told here, and says in the placement which versions serve whom.
 */
@Injectable()
export class Releases implements OnApplicationShutdown {
  private readonly states = new Map<string, ReleaseState>();
  /** Trials of which the scheduler was told. */
  private readonly decided = new WeakSet<CanaryTrial>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CATALOG) private readonly catalog: ModelView,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly placement: PlacementReader,
    private readonly shadows: ShadowRuns,
    private readonly metrics: ReleaseMetrics,
  ) {
    placement.onChange(() => this.follow());
    this.follow();
    this.timer = setInterval(() => void this.judge(), JUDGE_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
    this.shadows.close();
  }

  /** Of canaries and mirrored versions. */
  comparisons(): ModelComparison[] {
    return [...this.states.values()].flatMap((state) => state.comparisons(nowMs())).slice(0, COMPARISONS_MAX);
  }

  /**
   * Answers a live request with `attempt`. Where a canary fails, the stable version answers instead in the time that is
   * left, and the canary's failure is counted. Rejects with what `attempt` rejects with last.
   */
  async answer<Answer>(
    call: LiveCall,
    body: ReadBody<Answer>,
    attempt: (body: ReadBody<Answer>) => Promise<Answered<Answer>>,
  ): Promise<Answered<Answer>> {
    if (this.states.size === 0) return attempt(body);
    const beganMs = performance.now();
    const route: Route = { state: null, trial: null, prepared: null, by: null, options: call.options };
    try {
      const answered = await attempt({ ...body, prepare: (catalog) => this.prepare(call, body, catalog, route) });
      if (answered.prepared === route.prepared) this.succeeded({ call, body, ...answered }, route, performance.now() - beganMs);
      return answered;
    } catch (error) {
      call.options = route.options;
      const stable = this.insteadOf(call, route, error);
      if (stable === null) throw error;
      return this.rescue(call, route, error, () =>
        attempt({
          ...body,
          model: stable.name,
          version: stable.version,
          prepare: (catalog) => body.prepare(new InsteadCatalog(catalog, stable)),
        }),
      );
    }
  }

  /** A canary's request is not degraded: the stable version comes before what stands in for it. */
  private async prepare<Answer>(
    call: LiveCall,
    body: ReadBody<Answer>,
    catalog: ModelView,
    route: Route,
  ): Promise<PreparedRequest<Answer>> {
    const asked = new AskedCatalog(catalog);
    const prepared = await body.prepare(asked);
    route.prepared = prepared;
    route.state = this.states.get(prepared.model) ?? null;
    route.trial = route.state?.isCurrent(prepared) === true ? route.state.trial : null;
    const isFree = asked.name === prepared.model && asked.version === null;
    const { release, stable } = route.state ?? {};
    const role = prepared.version === release?.canary?.version ? 'canary' : prepared.version === stable ? 'stable' : null;
    route.by = isFree ? role : null;
    call.options = route.by === 'canary' ? { ...route.options, mayDegrade: false } : route.options;
    return prepared;
  }

  private succeeded<Answer>(answer: LiveAnswer<Answer> & CachedAnswer, { state, trial, by }: Route, latencyMs: number): void {
    const { call, prepared, body, cache } = answer;
    if (state === null || call.lane !== 'realtime') return;
    if (by === 'canary') {
      if (prepared.items.length > 0) trial?.count();
      this.metrics.canaryRequest(prepared, 'answered');
    }
    // A version that has kept no answers yet is not slower for that.
    if ((cache?.hits ?? 0) > 0 || prepared.items.length === 0) return;
    if (by !== null) trial?.[by].answered(nowMs(), latencyMs, body.bytes);
    if (body.isRepeatable?.() === false) return;
    // Of other files by now: nobody asks how they compare.
    const run = state.isCurrent(prepared) ? this.shadowOf(state, by, prepared.version) : null;
    if (run === null || call.hangUp.aborted) return;
    const tally = state.tallyOf(testedOf(run).version);
    // It begins once the answer has left.
    call.hangUp.addEventListener('abort', () =>
      this.shadows.start(answer, run, (shadowed) => this.shadowed({ state, trial, tally }, run, shadowed)),
    );
  }

  /** What the answer of this version is compared with; null: nothing. */
  private shadowOf(state: ReleaseState, by: Route['by'], version: string): ShadowRun | null {
    const { stable, release } = state;
    if (by === 'canary' && stable !== null && state.trial?.takesSample(nowMs()) === true)
      return this.pair(state, { live: version, other: stable, tested: 'live' });
    const mirrored = release.mirror?.version;
    if (version !== stable || mirrored === undefined || mirrored === stable || !state.takesMirror()) return null;
    const run = this.pair(state, { live: stable, other: mirrored, tested: 'other' });
    if (run === null) this.dropped(state, mirrored, 'unavailable');
    return run;
  }

  private pair(
    state: ReleaseState,
    { live, other, tested }: { live: string; other: string; tested: ShadowRun['tested'] },
  ): ShadowRun | null {
    const [first, second] = [live, other].map((version) => this.servedOf(state.release.name, version));
    return first && second && state.isCurrent(first) && state.isCurrent(second) ? { live: first, other: second, tested } : null;
  }

  private shadowed({ state, trial, tally }: Evidence, run: ShadowRun, shadowed: Shadowed): void {
    const { name: model, version } = testedOf(run);
    if (!state.hasTally(tally)) return; // of other files by now
    if (shadowed.outcome !== 'compared') return this.dropped(state, version, shadowed.outcome);
    tally.add(shadowed.rows, shadowed.times);
    this.metrics.compared({ model, version }, shadowed.rows, tally.timeRatio, tally.view().largestDifference);
    const agreeing = shadowed.rows.filter(({ agrees }) => agrees).length;
    if (version === state.release.canary?.version) trial?.canary.compared(nowMs(), shadowed.rows.length, agreeing);
  }

  private dropped(state: ReleaseState, version: string, outcome: Exclude<Shadowed['outcome'], 'compared'>): void {
    state.tallyOf(version).drop();
    this.metrics.shadow({ model: state.release.name, version }, outcome);
  }

  /** The stable version, where it shall answer what a canary could not; null: the error stands. Counts faults of the stable one. */
  private insteadOf(call: LiveCall, { state, trial, by, prepared }: Route, error: unknown): ServedModel | null {
    if (state === null || prepared === null || call.lane !== 'realtime') return null;
    if (by === 'stable' && isFault(error) && !isInputs(error)) trial?.stable.failed(nowMs());
    if (by !== 'canary') return null;
    if (isMiss(error) && this.isFair(call, prepared)) this.canaryFailed(trial, prepared, 'failed');
    const helps = isFault(error) || (error instanceof InterleaveError && error.code === 'overloaded');
    const stable = helps && state.stable !== null ? this.servedOf(prepared.model, state.stable) : null;
    if (stable === null && isFault(error)) this.canaryFailed(trial, prepared, 'failed');
    return stable;
  }

  private async rescue<Answer>(
    call: LiveCall,
    { trial, prepared }: Route,
    error: unknown,
    attempt: () => Promise<Answered<Answer>>,
  ): Promise<Answered<Answer>> {
    const failed = (outcome: 'rescued' | 'failed'): void => {
      if (prepared !== null && isFault(error)) this.canaryFailed(trial, prepared, outcome);
    };
    try {
      const answered = await attempt();
      failed('rescued');
      return answered;
    } catch (second) {
      // What fails on both is the input's fault.
      if (!isInputs(error) || !isInputs(second)) failed('failed');
      throw second;
    }
  }

  private canaryFailed(trial: CanaryTrial | null, prepared: PreparedRequest<unknown>, outcome: 'rescued' | 'failed'): void {
    trial?.count();
    trial?.canary.failed(nowMs());
    this.metrics.canaryRequest(prepared, outcome);
  }

  /** It had all the time that its model gives. */
  private isFair({ options, timeoutMsMax }: LiveCall, { model, version, timeoutMs }: PreparedRequest<unknown>): boolean {
    return options.timeoutMs === null && timeoutMsMax === Infinity && timeoutMs === (this.servedOf(model, version)?.timeoutMs ?? null);
  }

  /** Null: it is not ready. */
  private servedOf(name: string, version: string): ServedModel | null {
    try {
      return this.catalog.find(name, version);
    } catch {
      return null;
    }
  }

  private follow(): void {
    const { releases = [], versions } = this.placement.placement ?? {};
    const active = releases.filter(({ canary, mirror }) => canary !== null || mirror !== null);
    for (const name of this.states.keys()) if (!active.some((release) => release.name === name)) this.states.delete(name);
    for (const release of active) {
      const state = this.states.get(release.name) ?? new ReleaseState(release);
      this.states.set(release.name, state);
      state.follow(release, versions, nowMs());
    }
    if (versions !== undefined) this.metrics.keepOnly(versions);
  }

  private async judge(): Promise<void> {
    for (const { trial, release } of this.states.values()) {
      const judgement = trial === null || this.decided.has(trial) ? null : trial.judge(nowMs());
      if (trial !== null && judgement !== null && release.canary !== null)
        await this.decide(trial, release.name, release.canary.version, judgement);
    }
  }

  /** The scheduler may be away: then it is told later, if the reason still holds. */
  private async decide(trial: CanaryTrial, name: string, version: string, { action, reason }: Judgement): Promise<void> {
    this.decided.add(trial);
    const figures = trial.figures(nowMs());
    const socket = runPaths(this.config.runDir).statusSocket('scheduler');
    try {
      const command: DecideCommand = { name, action, version, reason, by: 'rule', figures };
      await commandProcess(socket, '/releases/decide', command, DECIDE_MS_MAX);
      this.log.info({ model: name, version, action, reason, figures }, 'the canary was judged');
    } catch (error) {
      setTimeout(() => this.decided.delete(trial), AGAIN_MS).unref();
      this.log.warn({ model: name, version, action, reason, err: error }, 'the scheduler did not take the judgement of a canary');
    }
  }
}

/** Unix milliseconds that never go back. */
const nowMs = (): number => performance.timeOrigin + performance.now();

const testedOf = ({ live, other, tested }: ShadowRun): ServedModel => (tested === 'live' ? live : other);

const isFault = (error: unknown): boolean =>
  !(error instanceof InterleaveError) || (FAULTS.has(error.code) && !(error instanceof RevisionGone));
const isInputs = (error: unknown): boolean => error instanceof InterleaveError && error.code === 'inference_failed';
const isMiss = (error: unknown): boolean => error instanceof InterleaveError && error.code === 'deadline_exceeded';
