import { availableParallelism } from 'node:os';
import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { unknownModel, type ModelView } from '@app/models';
import { allSucceeded, runItems, type PreparedItems, type PreparedRequest } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { Turns } from '../admission/turns';
import { Degradation } from '../resilience/degradation';
import { GuardedRuns } from '../resilience/guarded-runs';
import { Releases, type Answered } from '../releases/releases';
import { ModelUse } from '../repository/model-use';
import { CachedRuns, type CachedAnswer } from '../response-cache/cached-runs';
import { TenantShares } from '../shares/tenant-shares';
import { CONFIG } from '../tokens';
import type { LiveCall } from './live-call';
import { isSmall, LiveGate } from './live-gate';
import { liveTiming } from './live-timing';
import { LiveStatistics } from './open-inference/model-statistics';
import type { ReadBody } from './read-body';
import { noteTier, ServiceTiers } from './service-tiers';
import { noteFailure, noteTiming } from './timing-note';

/** What is noted of the attempts to answer a request: moments of the last one. */
interface Attempt {
  preparedMs: number;
  answeredMs: number;
  /** What it was prepared for first. */
  checked: PreparedItems | null;
}

/**
 * The live path of every protocol, once the body is there: tokenize, admit, enqueue (the worker coalesces and runs),
 * respond. Never touches Redis.
 */
@Injectable()
export class LiveRunner {
  private readonly largeBodies = new Turns(Math.max(2, availableParallelism()));

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly gate: LiveGate,
    private readonly tiers: ServiceTiers,
    private readonly shares: TenantShares,
    private readonly runs: GuardedRuns,
    private readonly cached: CachedRuns,
    private readonly degradation: Degradation,
    private readonly statistics: LiveStatistics,
    private readonly releases: Releases,
    private readonly use: ModelUse,
  ) {}

  /**
   * The answer; what is said about it beside its body is added to `call.notes`. Rejects with what the caller is told
   * instead. Its items are given up when the caller hangs up.
   */
  async answer<Answer>(call: LiveCall, body: ReadBody<Answer>): Promise<Answer> {
    const bodyReadMs = performance.now();
    const { arrivedMs } = call;
    const attempt: Attempt = { preparedMs: bodyReadMs, answeredMs: bodyReadMs, checked: null };
    try {
      const answered = await this.releases.answer(call, body, (own) => this.attempt(call, own, attempt));
      const { prepared, results, cache, response } = answered;
      const { preparedMs, answeredMs } = attempt;
      const moments = { arrivedMs, bodyReadMs, admittedMs: call.admittedMs, preparedMs, answeredMs, respondedMs: performance.now() };
      // Counted after the answer has left.
      call.timing = liveTiming(moments, results, cache);
      noteTiming(call, call.timing);
      noteTier(call, prepared);
      if (prepared.tokenCount > 0) call.notes['x-interleave-tokens'] = String(prepared.tokenCount);
      this.statistics.succeeded(prepared, call.timing, results);
      return response;
    } catch (error) {
      const { admittedMs } = call;
      const { preparedMs } = attempt;
      const isAdmitted = admittedMs > bodyReadMs;
      noteFailure(call, {
        bodyReadMs,
        admittedMs: isAdmitted ? admittedMs : null,
        preparedMs: isAdmitted && preparedMs > admittedMs ? preparedMs : null,
      });
      if (attempt.checked !== null) this.statistics.failed(attempt.checked, performance.now() - arrivedMs);
      throw error;
    }
  }

  private async attempt<Answer>(call: LiveCall, body: ReadBody<Answer>, attempt: Attempt): Promise<Answered<Answer>> {
    const { prepared, results, cache } = await this.degradation.answer(call, {
      prepare: async (catalog, instead) => {
        const own = instead === null ? body : { ...body, model: instead.name, version: instead.version };
        const made = await this.prepare(call, own, catalog);
        // Whatever protocol it came by: nobody runs a model that is not there for them.
        if (call.caller.models?.includes(made.model) === false) throw unknownModel(made.model);
        call.model = made.model;
        this.use.see(made.model, made.version);
        attempt.preparedMs = performance.now();
        attempt.checked ??= made;
        return made;
      },
      run: (made) => this.run(made, call, body.heldBytes),
    });
    attempt.answeredMs = performance.now();
    return { prepared, results, cache, response: await prepared.respond(results) };
  }

  private async prepare<Answer>(call: LiveCall, body: ReadBody<Answer>, catalog: ModelView): Promise<PreparedRequest<Answer>> {
    const preparing = this.gate.enter(call, body);
    const isLarge = !isSmall(body.bytes);
    let items: number | null = null;
    try {
      if (isLarge) await this.largeBodies.begin();
      if (call.hangUp.aborted) throw new InterleaveError('client_closed', 'The caller hung up');
      call.admittedMs = performance.now();
      const prepared = await body.prepare(catalog);
      items = prepared.items.length;
      return prepared;
    } finally {
      if (isLarge) this.largeBodies.end();
      this.gate.leave(preparing, items);
    }
  }

  private async run(prepared: PreparedItems, call: LiveCall, heldBytes: number): Promise<CachedAnswer> {
    const { caller, options, hangUp, arrivedMs } = call;
    const { tier, backend, priority } = await this.tiers.planOf(call, prepared);
    const wantedMs = options.timeoutMs ?? prepared.timeoutMs ?? this.config.realtime.timeoutMs;
    const timeoutMs = Math.min(wantedMs, call.timeoutMsMax) - (performance.now() - arrivedMs);
    if (timeoutMs <= 0)
      throw new InterleaveError('deadline_exceeded', 'Deadline exceeded before the request was queued; allow more time, or try again');
    return this.cached.run(prepared, caller.tenant, async (missing) => {
      // What the whole body costs says nothing about a part of its items.
      const bodyBytes = missing === prepared ? heldBytes : undefined;
      const charge = this.shares.take(call, missing, backend);
      // Breakers and turns are those of the live lane.
      const share = tier === 'flex' ? undefined : caller;
      const run = { timeoutMs, priority, signal: hangUp, bodyBytes, onRan: charge.ran, share };
      const ran = tier === 'flex' ? runItems(backend, missing, run).then(allSucceeded) : this.runs.run(missing, run);
      return ran.finally(charge.end);
    });
  }
}
