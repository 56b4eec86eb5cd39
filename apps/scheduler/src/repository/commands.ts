import type { Config } from '@app/config';
import { byteText, type PlacedRelease, type WantedModel } from '@app/contracts';
import { modelFileBytes } from '@app/models';
import type { Command } from '@app/process';
import { z } from 'zod';
import type { ModelReleases } from './model-releases';
import type { ModelRepository } from './model-repository';
import type { RevisionNumbers } from './numbers';
import { isOnDemand, isRefused } from './placed';
import { isCurrent, isFailing, type VersionState } from './revision';

const LOAD_WAIT_MS = 60_000;
const WAIT_MS_MAX = 600_000;
/** At least so long a model that somebody wants is waited for; who asked may ask again. */
const WANTED_MS_MIN = 5000;
const USED_MAX = 1024;
const FIGURES_LENGTH_MAX = 4096;

const name = z.string().min(1).max(512);
const version = z.string().min(1).max(32).optional();
const modelSchema = z.object({ name, version });
const loadSchema = modelSchema.extend({ waitMs: z.number().min(0).max(WAIT_MS_MAX).default(LOAD_WAIT_MS) });
const usedSchema = z.object({ models: z.array(z.object({ name, version: z.string().max(32) })).max(USED_MAX) });
const decideSchema = modelSchema.extend({
  action: z.enum(['promote', 'rollback']),
  reason: z.string().min(1).max(1000),
  by: z.enum(['rule', 'command']),
  figures: z
    .record(z.string(), z.unknown())
    .refine(
      (figures) => JSON.stringify(figures).length <= FIGURES_LENGTH_MAX,
      `expected at most ${FIGURES_LENGTH_MAX} characters of figures`,
    )
    .optional(),
});

export interface RepositoryCommandsOptions {
  config: Pick<Config, 'modelsDir' | 'repository'>;
  repository: ModelRepository;
  releases: ModelReleases;
  numbers: RevisionNumbers;
}

/** What other processes may tell the scheduler about models. Each throws with what would help. */
export class RepositoryCommands {
  constructor(private readonly options: RepositoryCommandsOptions) {}

  /** By path of the status socket. */
  byPath(): Record<string, Command> {
    return {
      '/models/load': (body) => this.load(check(loadSchema, body)),
      '/models/unload': (body) => this.unload(check(modelSchema, body)),
      '/models/want': (body) => this.want(check(modelSchema, body)),
      '/models/used': (body) => this.used(check(usedSchema, body)),
      '/releases/decide': (body) => this.decide(check(decideSchema, body)),
    };
  }

  /** Reads the files as they are now, and answers once they serve. */
  private async load({ name: model, version: number, waitMs }: z.infer<typeof loadSchema>): Promise<object> {
    this.refuseInModeNone('loaded');
    const { repository } = this.options;
    const untilMs = performance.now() + waitMs;
    const own = matching(repository.lookAtModel(model), number).filter(({ entry }) => entry !== null);
    if (own.length === 0) throw new Error(`expected ${this.inFolder(model, number)}, but there is none; add its files first`);
    for (const each of own) {
      this.ask(each, untilMs);
      for (const step of repository.graphs.stepsOf(each)) if (step.serving === null) this.ask(step, untilMs);
    }
    repository.settle();
    const isWaiting = (): boolean => own.some((each) => isUnsettled(each, performance.now()));
    while (isWaiting()) {
      if (await repository.nextTurn(untilMs)) continue;
      if (isWaiting()) throw new Error(`model ${model} is not loaded after ${waitMs} ms; it goes on: interleave models status`);
    }
    const problems = own.filter((each) => (each.isToLoad ? each.serving === null || isRefused(each) : number !== undefined));
    if (problems.length > 0) throw new Error([...problems.map(problemOf), ...this.roomFor(own)].join('; '));
    return {};
  }

  /** What helps where versions do not fit beside each other. */
  private roomFor(own: readonly VersionState[]): string[] {
    const { memoryMax } = this.options.config.repository;
    if (memoryMax === undefined || !own.some(({ isToLoad, isEvicted }) => isToLoad && isEvicted)) return [];
    const bytes = own.reduce((sum, { entry }) => sum + modelFileBytes(entry?.manifest?.modelPath ?? null), 0);
    const needed = `repository.memoryMax is ${byteText(memoryMax, 'down')}, and what was to be loaded has ${byteText(bytes, 'up')}; raise it`;
    return [own.length === 1 ? needed : `${needed}, or write "versions: { policy: latest, keep: 1 }" into the model's release.yaml`];
  }

  private unload({ name: model, version: number }: z.infer<typeof modelSchema>): object {
    this.refuseInModeNone('unloaded');
    const own = matching(this.options.repository.versions.ofModel(model), number);
    if (own.length === 0) throw new Error(`expected ${this.inFolder(model, number)}, but there is none`);
    for (const each of own) Object.assign(each, { command: 'unload', wantedUntilMs: 0 });
    this.options.repository.settle();
    return {};
  }

  private want({ name: model, version: number }: z.infer<typeof modelSchema>): WantedModel {
    const { repository } = this.options;
    const wanted = this.meant(model, number);
    if (wanted === undefined) return { state: 'unavailable', reason: `expected ${this.inFolder(model, number)}, but there is none` };
    const asleep = repository.graphs.stepsOf(wanted).filter(isOnDemand);
    if (wanted.serving !== null && asleep.length === 0) return { state: 'serving', reason: null };
    if (!wanted.isToLoad || isRefused(wanted) || isFailing(wanted)) return { state: 'unavailable', reason: wanted.reason };
    const isNew = [wanted, ...asleep].map((state) => this.wantOne(state));
    if (isNew.includes(true)) repository.settle();
    return { state: 'loading', reason: wanted.reason };
  }

  /** True: a load may have to begin. */
  private wantOne(wanted: VersionState): boolean {
    const nowMs = performance.now();
    if (wanted.wantedUntilMs <= nowMs) wanted.wantedSinceMs = nowMs;
    wanted.wantedUntilMs = nowMs + Math.max(this.options.config.repository.loadWaitMs, WANTED_MS_MIN);
    if (wanted.next !== null) return false;
    Object.assign(wanted, { isEvicted: false, reason: null });
    return true;
  }

  private used({ models }: z.infer<typeof usedSchema>): object {
    const nowMs = performance.now();
    for (const used of models) {
      const { graphs, versions } = this.options.repository;
      const state = versions.find(used.name, used.version);
      for (const each of state === undefined ? [] : [state, ...graphs.stepsOf(state)]) each.usedAtMs = nowMs;
    }
    return {};
  }

  private decide(command: z.infer<typeof decideSchema>): { release: PlacedRelease | null } {
    const { repository, releases } = this.options;
    releases.decide(command, repository.versions);
    repository.settle();
    return { release: repository.status().releases.find((release) => release.name === command.name) ?? null };
  }

  /** Files that failed before are tried again. */
  private ask(state: VersionState, untilMs: number): void {
    const { entry } = state;
    const hasFailed = state.refusedFingerprint !== null || isFailing(state);
    if (hasFailed && entry !== null && entry.manifest !== null) {
      this.options.numbers.renew(state.name, state.version, entry.fingerprint);
      this.options.repository.giveUp(state);
    }
    Object.assign(state, { command: 'load', wantedUntilMs: untilMs, isEvicted: false, isHeld: false });
  }

  /** Without a version the one that requests without one get. */
  private meant(model: string, number: string | undefined): VersionState | undefined {
    const { repository, releases } = this.options;
    const own = matching(repository.versions.ofModel(model), number ?? releases.stableOf(model) ?? undefined);
    return own.findLast(({ isToLoad }) => isToLoad) ?? own.at(-1);
  }

  private refuseInModeNone(what: string): void {
    if (this.options.config.repository.mode === 'none')
      throw new Error(`models are not ${what} while the node serves, because repository.mode is none; set it to watch or explicit`);
  }

  private inFolder(model: string, number: string | undefined): string {
    return `model ${model}${number === undefined ? '' : ` version ${number}`} in ${this.options.config.modelsDir}`;
  }
}

const matching = (versions: readonly VersionState[], number: string | undefined): VersionState[] =>
  versions.filter((state) => number === undefined || state.version === number);

/** It is to be loaded, and neither serves nor is known not to. One that made room for another is loaded for whoever asks next. */
function isUnsettled(state: VersionState, nowMs: number): boolean {
  const { isToLoad, isEvicted, wantedUntilMs } = state;
  if (!isToLoad || isRefused(state) || (isEvicted && wantedUntilMs <= nowMs)) return false;
  return !isCurrent(state) && !isFailing(state);
}

function problemOf({ name: model, version: number, reason }: VersionState): string {
  return `model ${model} version ${number}: ${reason ?? 'it was unloaded meanwhile'}`;
}

function check<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new Error(result.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`).join('; '));
}
