import { InterleaveError, type BreakerStatus } from '@app/contracts';
import {
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  CountBreaker,
  handleWhen,
  type CircuitBreakerPolicy,
  type IBackoff,
  type IHalfOpenAfterBackoffContext,
} from 'cockatiel';

export interface BreakerSettings {
  /** The last so many calls are looked at. */
  callsMax: number;
  callsMin: number;
  /** It opens when more than this share of them failed. */
  failureShare: number;
  openMs: number;
  openMsMax: number;
}

/**
 * What an error says about the thing behind a breaker. `fault`: it failed. `innocent`: it works, the caller is at fault.
 * `unclear`: neither.
 */
export type Verdict = 'fault' | 'innocent' | 'unclear';

/** The call refused, and why; the one who holds the breaker makes an answer of it. */
export class BreakerOpen extends Error {
  constructor(
    readonly reason: string,
    readonly retryAfterSeconds: number,
  ) {
    super(reason);
  }
}

/** The probe said nothing: the next one may come soon. */
class Unclear extends Error {
  constructor(readonly error: unknown) {
    super('the trial said nothing');
  }
}

/**
 * A circuit breaker over the last calls: closed, it lets all through; open, none; then it is half open for one call, which
 * closes it or opens it for twice as long. Calls that are innocent or unclear count neither way; as the trial, an innocent
 * one closes it. For callers of one event loop. Time is `Date.now()`.
 */
export class Breaker {
  private readonly policy: CircuitBreakerPolicy;
  private sinceMs = Date.now();
  private untilMs = 0;
  private opened = 0;
  /** Times that it opened in a row, without closing between. */
  private faults = 0;

  constructor(
    readonly name: string,
    private readonly settings: BreakerSettings,
    private readonly verdictOf: (error: unknown) => Verdict,
  ) {
    const { callsMax, callsMin, failureShare } = settings;
    this.policy = circuitBreaker(
      handleWhen((error) => error instanceof Unclear || verdictOf(error) === 'fault'),
      {
        breaker: new CountBreaker({ threshold: failureShare, size: callsMax, minimumNumberOfCalls: callsMin }),
        halfOpenAfter: { next: (context) => this.wait(context) },
      },
    );
    this.policy.onStateChange(() => (this.sinceMs = Date.now()));
    this.policy.onReset(() => (this.faults = 0));
  }

  /** The next call would be the trial. */
  get isDue(): boolean {
    return this.policy.state === CircuitState.Open && Date.now() >= this.untilMs;
  }

  status(): BreakerStatus {
    const { state } = this.policy;
    const text = state === CircuitState.Closed ? 'closed' : state === CircuitState.HalfOpen ? 'half-open' : 'open';
    return { name: this.name, state: text, sinceMs: this.sinceMs, reason: text === 'closed' ? null : this.reason(), opened: this.opened };
  }

  /** Rejects with `BreakerOpen` when `work` is not tried; else as `work` does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const isTrial = this.isDue;
    if (!isTrial && this.policy.state !== CircuitState.Closed) throw this.refusal();
    try {
      return await this.policy.execute(isTrial ? () => this.trial(work) : work);
    } catch (error) {
      if (error instanceof BrokenCircuitError) throw this.refusal();
      throw error instanceof Unclear ? error.error : error;
    }
  }

  /** Throws `BreakerOpen` while calls are refused. */
  check(): void {
    if (this.policy.state !== CircuitState.Closed && !this.isDue) throw this.refusal();
  }

  private async trial<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.verdictOf(error) === 'unclear' ? new Unclear(error) : error;
    }
  }

  private wait({ result }: IHalfOpenAfterBackoffContext): IBackoff<IHalfOpenAfterBackoffContext> {
    const isUnclear = 'error' in result && result.error instanceof Unclear;
    if (!isUnclear) {
      this.faults += 1;
      this.opened += 1;
    }
    const { openMs, openMsMax } = this.settings;
    const duration = isUnclear ? openMs : Math.min(openMs * 2 ** Math.min(this.faults - 1, 30), openMsMax);
    this.untilMs = Date.now() + duration;
    return { duration, next: (context) => this.wait(context) };
  }

  /** While a trial runs nobody knows how long it takes. */
  private refusal(): BreakerOpen {
    return new BreakerOpen(this.reason(), Math.max(1, Math.ceil((this.untilMs - Date.now()) / 1000)));
  }

  private reason(): string {
    const failure = this.policy.lastFailure;
    const error = failure !== undefined && 'error' in failure ? failure.error : undefined;
    const cause = error instanceof Unclear ? error.error : error;
    return `too many of the last calls failed, the last one with: ${textOf(cause)}`;
  }
}

/** Errors that callers may see, and those of the system by their code; others may hold paths. */
function textOf(error: unknown): string {
  if (error instanceof InterleaveError) return error.message;
  return (error as NodeJS.ErrnoException | undefined)?.code ?? 'an internal error';
}
