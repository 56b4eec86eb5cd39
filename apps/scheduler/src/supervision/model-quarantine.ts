import type { BlamedInput, Lane, ModelOfLane, QuarantinedModel } from '@app/contracts';
import type { Phase } from './heartbeat-file';
import { isBeforeReady } from './worker-death';

/** Deaths that no single input explains, or inputs that kill while fewer are answered. */
export const DEATHS_MAX = 6;
/** The same for a model that was quarantined before and is on trial, and for one that dies before it is ready: its load does the same each time. */
export const TRIAL_DEATHS_MAX = 2;
const TRIAL_LOAD_DEATHS_MAX = 1;
/** Inputs that kill one after the other with no answer between them, whatever was answered before. */
export const IN_A_ROW_MAX = 20;
export const WINDOW_MS = 600_000;
/** Window for deaths before a model is ready: a load may take minutes until it kills. */
export const LOAD_WINDOW_MS = 3_600_000;
/** The process that gave the input to the worker says a moment later whether it was to blame. */
export const GRACE_MS = 1_000;
/** A claim may also come before the death is noticed here. */
const CLAIM_MS_MAX = 5_000;
export const PERIOD_MS_MIN = 60_000;
export const PERIOD_MS_MAX = 3_600_000;

const WHILE: Record<Phase, string> = {
  running: 'while it ran',
  loading: 'while it was loaded',
  probing: 'while made-up rows were run to see whether rows may share runs',
  measuring: 'while it was measured what its runs cost',
};

interface Claim {
  atMs: number;
  deathsLeft: number;
  /** Null once it was counted. */
  answered: number | null;
}

interface History {
  model: ModelOfLane;
  /** Not explained by an input; nothing but a run can be. */
  deaths: { atMs: number; ofRun: boolean }[];
  claims: Claim[];
  /** Inputs that were found to kill, with how many others were answered since the one before. */
  inputs: { atMs: number; answered: number }[];
  lastReason: string;
  diesLoading: boolean;
  quarantined: QuarantinedModel | null;
  /** Length of the last quarantine; 0: there was none. */
  periodMs: number;
  releasedMs: number;
}

const windowMsOf = ({ diesLoading }: History): number => (diesLoading ? LOAD_WINDOW_MS : WINDOW_MS);

/**
 * Takes model versions out of service that kill workers of a lane again and again, for a minute at first and twice as long
 * each time that a trial fails.
 *
 * | state | next |
 * |---|---|
 * | in service | `judge` → quarantined |
 * | quarantined | `takeDue`, `release` → on trial |
 * | on trial | `judge` → quarantined for longer; 10 minutes (an hour if it died before it was ready) → in service |
 */
export class ModelQuarantine {
  private readonly histories = new Map<string, History>();

  /** `kept`: models that an earlier scheduler quarantined. `nowMs`: Unix milliseconds. */
  constructor(
    kept: readonly QuarantinedModel[] = [],
    private readonly nowMs: () => number = Date.now,
  ) {
    for (const model of kept)
      Object.assign(this.historyOf(model), { quarantined: model, periodMs: model.periodMs, diesLoading: model.isUnloaded });
  }

  models(): QuarantinedModel[] {
    return [...this.histories.values()].flatMap(({ quarantined }) => quarantined ?? []);
  }

  /** Those that may be loaded but killed workers before they were ready, lately or before they were quarantined. */
  suspects(): ModelOfLane[] {
    return [...this.histories.values()]
      .filter(
        ({ quarantined, diesLoading, deaths, periodMs }) => quarantined === null && diesLoading && (deaths.length > 0 || periodMs > 0),
      )
      .map(({ model }) => model);
  }

  /** A worker of the lane died of this model, as `reason` says. */
  workerDied(model: ModelOfLane, reason: string, phase: Phase): void {
    const history = this.historyOf(model);
    const nowMs = this.nowMs();
    Object.assign(history, { lastReason: `${reason} ${WHILE[phase]}`, diesLoading: isBeforeReady(phase) });
    const ofRun = phase === 'running';
    const claim = history.claims.find(({ atMs, deathsLeft }) => ofRun && deathsLeft > 0 && nowMs - atMs < CLAIM_MS_MAX);
    if (claim === undefined) history.deaths.push({ atMs: nowMs, ofRun });
    else this.settle(history, claim, 1);
  }

  /** Deaths were the doing of one input: they are not held against the model. */
  inputBlamed({ deaths, isNew, answered, ...model }: BlamedInput): void {
    const history = this.historyOf(model);
    const nowMs = this.nowMs();
    const claim = { atMs: nowMs, deathsLeft: deaths, answered: isNew ? answered : null };
    const explained = history.deaths.filter(({ ofRun }) => ofRun).slice(0, deaths);
    history.deaths = history.deaths.filter((death) => !explained.includes(death));
    this.settle(history, claim, explained.length);
    history.claims = [...history.claims.filter(({ atMs }) => nowMs - atMs < CLAIM_MS_MAX), claim];
  }

  /** The models that are quarantined from now on. */
  judge(): QuarantinedModel[] {
    return [...this.histories.values()].flatMap((history) => this.verdictOn(history) ?? []);
  }

  /** Releases those whose time is over. */
  takeDue(): QuarantinedModel[] {
    const nowMs = this.nowMs();
    return this.releaseAll((model) => model.untilMs <= nowMs);
  }

  /** Version, lane null: any. */
  release(name: string, version: string | null, lane: Lane | null): QuarantinedModel[] {
    return this.releaseAll(
      (model) => model.name === name && model.version === (version ?? model.version) && model.lane === (lane ?? model.lane),
    );
  }

  /** Nothing is held against the version any more, in any lane: it has other files. */
  forget(name: string, version: string): void {
    for (const [key, { model }] of this.histories) if (model.name === name && model.version === version) this.histories.delete(key);
  }

  private verdictOn(history: History): QuarantinedModel | null {
    if (history.quarantined !== null) return null;
    const nowMs = this.nowMs();
    const windowMs = windowMsOf(history);
    history.deaths = history.deaths.filter(({ atMs }) => nowMs - atMs < windowMs);
    history.inputs = history.inputs.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
    if (nowMs - history.releasedMs > windowMs) history.periodMs = 0;
    const trialMax = history.diesLoading ? TRIAL_LOAD_DEATHS_MAX : TRIAL_DEATHS_MAX;
    const max = history.periodMs === 0 ? DEATHS_MAX : trialMax;
    const deaths = history.deaths.filter(({ atMs }) => nowMs - atMs >= GRACE_MS).length;
    const answered = history.inputs.reduce((sum, input) => sum + input.answered, 0);
    if (deaths >= max) return this.quarantine(history, `${deaths} ${history.model.lane} ${deaths === 1 ? 'worker' : 'workers'} died of it`);
    const { length: inputs } = history.inputs;
    const inARow = inputs - history.inputs.findLastIndex((input) => input.answered > 0);
    if ((inputs >= max && answered < inputs) || inARow >= IN_A_ROW_MAX)
      return this.quarantine(history, `${inputs} inputs killed ${history.model.lane} workers and ${answered} were answered`);
    return null;
  }

  private quarantine(history: History, what: string): QuarantinedModel {
    const { model, lastReason, diesLoading: isUnloaded } = history;
    const periodMs = Math.min(Math.max(PERIOD_MS_MIN, history.periodMs * 2), PERIOD_MS_MAX);
    const untilMs = this.nowMs() + periodMs;
    const until = new Date(untilMs).toISOString().replace(/\.\d+Z$/, 'Z');
    const reason = `quarantined until ${until}: ${what} within ${windowMsOf(history) / 60_000} minutes, the last one with ${lastReason}; it is tried again then, or after: interleave models release ${model.name}`;
    const quarantined = { ...model, reason, untilMs, periodMs, isUnloaded };
    Object.assign(history, { quarantined, periodMs, deaths: [], inputs: [], claims: [] });
    return quarantined;
  }

  private releaseAll(isMeant: (model: QuarantinedModel) => boolean): QuarantinedModel[] {
    const released: QuarantinedModel[] = [];
    for (const history of this.histories.values()) {
      if (history.quarantined === null || !isMeant(history.quarantined)) continue;
      released.push(history.quarantined);
      Object.assign(history, { quarantined: null, releasedMs: this.nowMs() });
    }
    return released;
  }

  /** An input counts once one of its deaths was noticed here: what kills workers from outside is no input's fault. */
  private settle(history: History, claim: Claim, deaths: number): void {
    claim.deathsLeft -= deaths;
    if (deaths === 0 || claim.answered === null) return;
    history.inputs.push({ atMs: claim.atMs, answered: claim.answered });
    claim.answered = null;
  }

  private historyOf({ name, version, lane }: ModelOfLane): History {
    const key = `${lane}\n${name}\n${version}`;
    const known = this.histories.get(key);
    if (known !== undefined) return known;
    const model = { name, version, lane };
    const history: History = {
      model,
      deaths: [],
      claims: [],
      inputs: [],
      lastReason: '',
      diesLoading: false,
      quarantined: null,
      periodMs: 0,
      releasedMs: 0,
    };
    this.histories.set(key, history);
    return history;
  }
}
