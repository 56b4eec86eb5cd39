import type { Config } from '@app/config';
import { InterleaveError, type ErrorCode, type InferenceBackend, type InferenceRequest, type ItemResult } from '@app/contracts';
import type { ModelView } from '@app/models';
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
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BACKEND) private readonly backend: InferenceBackend,
    @Inject(CATALOG) private readonly catalog: ModelView,
    private readonly breakers: Breakers,
  ) {}

  /** Rejects with what the caller is told: the first error of an item, or `worker_unavailable` while the breaker is open. */
  async run(prepared: PreparedItems, options: RunOptions): Promise<ItemResult[]> {
    const { model, version } = prepared;
    const breaker = this.breakers.of(modelBreakerName(model, version), verdictOf);
    try {
      return await (breaker.isDue ? this.tryOut(breaker, prepared, options) : this.runOnce(breaker, prepared, options));
    } catch (error) {
      if (error instanceof Unfair) throw error.error;
      if (error instanceof BreakerOpen) throw refused(prepared, error);
      throw error;
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

  private timeoutMs({ model, version }: PreparedItems): number {
    return this.catalog.find(model, version).timeoutMs ?? this.config.realtime.timeoutMs;
  }
}

/** A request that had less time than its model is given missed its deadline. */
class Unfair extends Error {
  constructor(readonly error: unknown) {
    super('too little time');
  }
}

function verdictOf(error: unknown): Verdict {
  if (error instanceof Unfair) return 'unclear';
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
