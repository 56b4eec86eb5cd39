import { InterleaveError, type ErrorCode } from '@app/contracts';
import {
  releaseView,
  splitLabel,
  type DegradeStep,
  type ModelCatalog,
  type ModelView,
  type ServedModel,
  type ServingPolicy,
} from '@app/models';
import type { PreparedRequest } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable } from '@nestjs/common';
import { Counter, Registry } from 'prom-client';
import { routeKeyOf, type LiveCall } from '../live/live-call';
import { Renewal } from '../repository/renewal';
import { CachedRuns, type CachedAnswer } from '../response-cache/cached-runs';
import { CATALOG, LOGGER } from '../tokens';
import { standInProblem, tensorProblem, type Candidate } from './stand-in';

/** What a model that cannot answer now, or a node that is busy, is refused with. */
const TROUBLE: ReadonlySet<ErrorCode> = new Set(['overloaded', 'worker_unavailable', 'model_not_servable']);
/** Warnings that are not said twice. */
const WARNINGS_MAX = 1024;
const DEGRADED_NOTE = 'x-interleave-degraded';

type ModelStep = Extract<DegradeStep, { kind: 'model' }>;

/** The two halves of answering a request; both reject with what the caller is told. */
export interface Work<Answer> {
  /** `catalog` has what there is to choose from. `instead`: the model that the body is prepared for, whatever it names. */
  prepare(catalog: ModelView, instead: ServedModel | null): Promise<PreparedRequest<Answer>>;
  run(prepared: PreparedRequest<Answer>): Promise<CachedAnswer>;
}

export interface Answered<Answer> extends CachedAnswer {
  prepared: PreparedRequest<Answer>;
}

/** Answers as the owner of a model allows (`degrade` in model.yaml) where it would be refused for trouble of ours. */
@Injectable()
export class Degradation {
  private readonly degraded: Counter;
  /** What was ready, by the policy of its files, which stays while they are not ready; of models with steps only. */
  private readonly lastReady = new WeakMap<ServingPolicy, Candidate>();
  private readonly warned = new Set<string>();

  constructor(
    registry: Registry,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly cached: CachedRuns,
    private readonly renewal: Renewal,
  ) {
    this.degraded = new Counter({
      name: 'interleave_degraded_total',
      help: 'Live requests answered by something else than their model',
      labelNames: ['model', 'by'],
      registers: [registry],
    });
    catalog.onChange(() => this.look());
    this.look();
  }

  /** As `work` does; in trouble the steps of the model are tried in order, and the answer says so in `call.notes`. */
  async answer<Answer>(call: LiveCall, work: Work<Answer>): Promise<Answered<Answer>> {
    const asked = new AskedCatalog(releaseView(this.catalog, (user) => routeKeyOf(call, user)));
    let prepared = null as PreparedRequest<Answer> | null;
    try {
      return await this.renewal.run(call, async () => {
        prepared = null;
        prepared = await work.prepare(asked, null);
        const { results, cache } = await work.run(prepared);
        return { prepared, results, cache };
      });
    } catch (error) {
      const { name, version } = prepared === null ? asked : { name: prepared.model, version: prepared.version };
      if (name === null || !isTrouble(error) || !call.options.mayDegrade) throw error;
      for (const step of this.catalog.policyOf(name, version)?.degrade ?? []) {
        const answered = step.kind === 'cached' ? this.fromCache(call, prepared) : await this.byOther(call, work, { name, version }, step);
        if (answered === null) continue;
        call.model = splitLabel(name).model;
        this.degraded.inc({ model: call.model, by: step.kind === 'cached' ? 'cached' : step.model });
        return answered;
      }
      throw error;
    }
  }

  /**
   * Whether a request that is refused with `error` before its body is read may be answered all the same. `model` null: its
   * body names it. `look` throws where another model would refuse it too.
   */
  mayHelp({ options, caller }: LiveCall, model: string | null, error: unknown, look: (other: ModelStep) => unknown): boolean {
    if (!isTrouble(error)) return false;
    const names = model === null ? [...new Set(this.catalog.list().map(({ name }) => name))] : [model];
    return names.some((name) => {
      const policy = this.catalog.policyOf(name, null);
      if (policy === null) return false;
      if (policy.cache !== null) return true;
      if (!options.mayDegrade) return false;
      return policy.degrade.some((step) => step.kind === 'model' && allows(caller, step.model) && succeeds(() => look(step)));
    });
  }

  private fromCache<Answer>(call: LiveCall, prepared: PreparedRequest<Answer> | null): Answered<Answer> | null {
    // Throws where the model is no longer ready.
    const stale = prepared === null ? null : attempt(() => this.cached.stale(prepared, call.caller.tenant));
    if (prepared === null || stale === null) return null;
    call.notes[DEGRADED_NOTE] = `cached; age=${Math.floor(stale.ageMs / 1000)}`;
    return { prepared, results: stale.results, cache: { hits: stale.results.length, misses: 0 } };
  }

  private async byOther<Answer>(
    call: LiveCall,
    work: Work<Answer>,
    asked: { name: string; version: string | null },
    step: ModelStep,
  ): Promise<Answered<Answer> | null> {
    const own = this.ownOf(asked.name, asked.version);
    if (own === null || !allows(call.caller, step.model)) return null;
    try {
      return await this.renewal.run(call, () => this.runOther(call, work, own, step));
    } catch {
      return null; // the caller is told of the model that was asked for
    }
  }

  private async runOther<Answer>(call: LiveCall, work: Work<Answer>, own: Candidate, step: ModelStep): Promise<Answered<Answer> | null> {
    const other = this.candidateOf(step.model, step.version);
    if (other === null || standInProblem(own, other, step) !== null) return null;
    const takesTexts = call.endpoint === 'predict' && own.model.text !== null;
    if (!takesTexts && tensorProblem(own, other) !== null) return null;
    const prepared = await work.prepare(new InsteadCatalog(this.catalog, other.model), other.model);
    if (prepared.model !== other.model.name || prepared.version !== other.model.version) return null;
    const answer = await work.run(prepared);
    call.notes[DEGRADED_NOTE] = `model=${prepared.model}`;
    return { prepared, ...answer };
  }

  private ownOf(name: string, version: string | null): Candidate | null {
    const policy = this.catalog.policyOf(name, version);
    return this.candidateOf(name, version) ?? (policy === null ? null : (this.lastReady.get(policy) ?? null));
  }

  private candidateOf(name: string, version: string | null): Candidate | null {
    const model = attempt(() => this.catalog.find(name, version));
    const policy = this.catalog.policyOf(name, version);
    return model === null || policy === null ? null : { model, policy };
  }

  /** Tells the owners of steps that will not be taken, once each. */
  private look(): void {
    for (const { name, version } of this.catalog.list()) {
      const steps = this.catalog.policyOf(name, version)?.degrade ?? [];
      const own = steps.length === 0 ? null : this.candidateOf(name, version);
      if (own === null) continue;
      this.lastReady.set(own.policy, own);
      for (const step of steps) {
        const problem = step.kind === 'model' ? this.problemOf(own, step) : null;
        const warning = `${name} ${version}: ${problem}`;
        if (problem === null || this.warned.has(warning)) continue;
        if (this.warned.size >= WARNINGS_MAX) this.warned.clear();
        this.warned.add(warning);
        this.log.warn({ model: name, version, reason: problem }, 'model.yaml: a step of degrade is never taken');
      }
    }
  }

  private problemOf(own: Candidate, step: ModelStep): string | null {
    if (step.model === own.model.name && step.version === null) return 'it names the model itself';
    if (this.catalog.policyOf(step.model, step.version) === null) return `there is no model "${step.model}"`;
    const other = this.candidateOf(step.model, step.version);
    const problem = other === null ? null : standInProblem(own, other, step);
    return problem === null ? null : `"${step.model}" cannot stand in: ${problem}`;
  }
}

const isTrouble = (error: unknown): boolean => error instanceof InterleaveError && TROUBLE.has(error.code);
const allows = ({ models }: LiveCall['caller'], name: string): boolean => models === null || models.includes(name);
const succeeds = (work: () => unknown): boolean => attempt(() => (work(), true)) ?? false;

/** Null: it threw. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}

/** A catalog with some of its methods replaced. */
class OtherCatalog implements ModelView {
  constructor(protected readonly catalog: ModelView) {}

  list(): ReturnType<ModelView['list']> {
    return this.catalog.list();
  }

  entriesOf(name: string, version: string | null): ReturnType<ModelView['entriesOf']> {
    return this.catalog.entriesOf(name, version);
  }

  find(...wanted: Parameters<ModelView['find']>): ServedModel {
    return this.catalog.find(...wanted);
  }

  policyOf(name: string, version: string | null): ReturnType<ModelView['policyOf']> {
    return this.catalog.policyOf(name, version);
  }

  ofRevision(revision: number): ReturnType<ModelView['ofRevision']> {
    return this.catalog.ofRevision(revision);
  }
}

/** Remembers which model a request asked for, also where it cannot be served. */
export class AskedCatalog extends OtherCatalog {
  name: string | null = null;
  version: string | null = null;

  override find(...wanted: Parameters<ModelView['find']>): ServedModel {
    const [name, version] = wanted;
    Object.assign(this, { name, version });
    return super.find(...wanted);
  }
}

/** Has one model, whatever is asked for. */
export class InsteadCatalog extends OtherCatalog {
  constructor(
    catalog: ModelView,
    private readonly instead: ServedModel,
  ) {
    super(catalog);
  }

  override find(): ServedModel {
    return this.instead;
  }
}
