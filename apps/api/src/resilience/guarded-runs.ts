import type { Config } from '@app/config';
import {
  InterleaveError,
  RevisionGone,
  type ErrorCode,
  type InferenceBackend,
  type InferenceRequest,
  type ItemResult,
} from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { allSucceeded, runItems, type PreparedItems } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { BACKEND, CATALOG, CONFIG } from '../tokens';
import { BreakerOpen, type Breaker, type Verdict } from './breaker';
import { Breakers } from './breakers';

type RunOptions = Pick<InferenceRequest, 'priority' | 'signal' | 'bodyBytes' | 'share' | 'onRan'> & { timeoutMs: number };

/** What the worker of a model says when it works and the request is at fault. Inputs that kill workers are the quarantine's. */
const INNOCENT: ReadonlySet<ErrorCode> = new Set(['invalid_request', 'too_large', 'inference_failed']);
/** Left after reading and tokenizing, of the time that a model is given; with less a miss is not the model's. */
const FAIR_SHARE = 1 / 2;

export const modelBreakerName = (model: string, version: string): string => `model ${model} ${version}`;

/** Runs the items of live requests, each model version behind a breaker of its own. */
@Injectable()
export class GuardedRuns {
  /** The newest one of each model version that ran, by the name of its breaker. */
  private readonly revisions = new Map<string, number>();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    private readonly breakers: Breakers,
  ) {
    catalog.onChange(() => this.forgetGone());
  }

  /** Rejects with what the caller is told: the first error of an item, or `worker_unavailable` while the breaker is open. */
  async run(prepared: PreparedItems, options: RunOptions): Promise<ItemResult[]> {
    const breaker = this.breakerOf(prepared);
    try {
      return await (breaker.isDue ? this.tryOut(breaker, prepared, options) : this.runOnce(breaker, prepared, options));
    } catch (error) {
      if (error instanceof Unfair) throw error.error;
      if (error instanceof BreakerOpen) throw refused(prepared, error);
      throw error;
    }
  }

  /** Of the files that answer now: what others did says nothing about them. */
  private breakerOf({ model, version, revision }: PreparedItems): Breaker {
    const name = modelBreakerName(model, version);
    const known = this.revisions.get(name);
    if (known !== undefined && known < revision) this.breakers.forget(name);
    if (known === undefined || known < revision) this.revisions.set(name, revision);
    return this.breakers.of(name, verdictOf);
  }

  /** Versions come and go. */
  private forgetGone(): void {
    const there = new Set(this.catalog.list().map(({ name, version }) => modelBreakerName(name, version)));
    for (const name of this.revisions.keys()) {
      if (there.has(name)) continue;
      this.revisions.delete(name);
      this.breakers.forget(name);
    }
  }

  private runOnce(breaker: Breaker, prepared: PreparedItems, options: RunOptions): Promise<ItemResult[]> {
    const isFair = options.timeoutMs >= this.timeoutMs(prepared) * FAIR_SHARE;
    return breaker.run(async () => {
      try {
        return allSucceeded(await runItems(this.backend, prepared, options));
      } catch (error) {
        throw isMiss(error) && !isFair ? new Unfair(error) : error;
      }
    });
  }

  /**
   * The trial has the model's own time and goes on without its caller: else whoever gives requests too little time, or
   * hangs up, could keep the breaker open for all.
   */
  private tryOut(breaker: Breaker, prepared: PreparedItems, options: RunOptions): Promise<ItemResult[]> {
    const timeoutMs = Math.max(options.timeoutMs, this.timeoutMs(prepared));
    return whileWanted(this.runOnce(breaker, prepared, { ...options, timeoutMs, signal: null }), options);
  }

  private timeoutMs({ revision }: PreparedItems): number {
    return this.catalog.ofRevision(revision)?.model.timeoutMs ?? this.config.realtime.timeoutMs;
  }
}

/** A request that had less time than its model is given missed its deadline. */
class Unfair extends Error {
  constructor(readonly error: unknown) {
    super('too little time');
  }
}

function verdictOf(error: unknown): Verdict {
  if (error instanceof Unfair || error instanceof RevisionGone) return 'unclear';
  if (!(error instanceof InterleaveError)) return 'fault';
  if (INNOCENT.has(error.code)) return 'innocent';
  return error.code === 'internal' || error.code === 'worker_unavailable' || isMiss(error) ? 'fault' : 'unclear';
}

const isMiss = (error: unknown): boolean => error instanceof InterleaveError && error.code === 'deadline_exceeded';

/** Rejects at the caller's deadline, and when the caller has gone; `answer` goes on. */
function whileWanted<T>(answer: Promise<T>, { timeoutMs, signal }: RunOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new InterleaveError('client_closed', 'The caller hung up'));
    const onLate = (): void => reject(new InterleaveError('deadline_exceeded', 'the deadline passed before there was an answer'));
    const timer = setTimeout(onLate, Math.ceil(timeoutMs));
    signal?.addEventListener('abort', onAbort, { once: true });
    void answer.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    });
  });
}

function refused({ model, version }: PreparedItems, { reason, retryAfterSeconds }: BreakerOpen): InterleaveError {
  return new InterleaveError(
    'worker_unavailable',
    `model "${model}" version ${version} is not tried for now: ${reason}; try again in ${retryAfterSeconds} s`,
    { retryAfterSeconds },
  );
}
