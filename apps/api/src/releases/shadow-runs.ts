import { InterleaveError, type ErrorCode, type InferenceBackend, type ItemResult } from '@app/contracts';
import type { ModelView, ServedModel } from '@app/models';
import { allSucceeded, runItems, type PreparedItems, type PreparedRequest } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable } from '@nestjs/common';
import { HangUp } from '../live/hang-up';
import type { LiveCall } from '../live/live-call';
import type { ReadBody } from '../live/read-body';
import { InsteadCatalog } from '../resilience/degradation';
import { BATCH_BACKEND, CATALOG, LOGGER } from '../tokens';
import { compareSnapshots, incomparable, snapshotOf, type AnswerSnapshot } from './answer-snapshot';
import type { RowComparison } from './compare-numbers';
import type { RowTimes } from './comparison-tally';
import type { ShadowOutcome } from './release-metrics';
import { ShadowQueue } from './shadow-queue';

/** That wait or run a second time, and what they hold: bodies and answers. */
const LIMITS = { requestsMax: 64, bytesMax: 64 * 1024 * 1024 };
/** Comparing more keeps the event loop from live requests. */
const ANSWER_BYTES_MAX = 2 * 1024 * 1024;
/** Behind everything else in the batch lane. */
const PRIORITY = 255;
/** The batch lane may be paused; then a second run is given up. */
const RUN_MS_MAX = 60_000;
/** What a version says that cannot answer this request at all, whoever asks; its callers would not get what they get now. */
const NO_ANSWER: ReadonlySet<ErrorCode> = new Set(['invalid_request', 'inference_failed', 'too_large']);

/** A live answer, with all it takes to ask another version the same. */
export interface LiveAnswer<Answer = unknown> {
  call: LiveCall;
  body: ReadBody<Answer>;
  prepared: PreparedItems;
  results: readonly ItemResult[];
  response: Answer;
}

/** `tested`: which of the two versions is compared with the other, stable one. */
export interface ShadowRun {
  live: ServedModel;
  other: ServedModel;
  tested: 'live' | 'other';
}

export type Shadowed = { outcome: 'compared'; rows: RowComparison[]; times: RowTimes } | { outcome: Exclude<ShadowOutcome, 'compared'> };

/** Asks a second version what the first one has answered, in the batch lane, and compares. */
@Injectable()
export class ShadowRuns {
  private readonly queue = new ShadowQueue(LIMITS);

  constructor(
    @Inject(CATALOG) private readonly catalog: ModelView,
    @Inject(BATCH_BACKEND) private readonly batch: InferenceBackend,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** `done` is called once, later or at once. Never throws: nobody waits for it. */
  start<Answer>(answer: LiveAnswer<Answer>, run: ShadowRun, done: (shadowed: Shadowed) => void): void {
    try {
      if (!this.offer(answer, run, done)) done({ outcome: 'full' });
    } catch (error) {
      this.log.error({ err: error, model: run.live.name }, 'an answer could not be taken to be compared');
      done({ outcome: 'failed' });
    }
  }

  private offer<Answer>(answer: LiveAnswer<Answer>, run: ShadowRun, done: (shadowed: Shadowed) => void): boolean {
    const live = snapshotOf(answer.call.endpoint, run.live, answer);
    const work = {
      bytes: answer.body.heldBytes + live.bytes,
      prepare: async () => {
        try {
          const prepared = await answer.body.prepare(new InsteadCatalog(this.catalog, run.other));
          return async () => done(await this.compared(answer, run, live, prepared));
        } catch (error) {
          done(withoutAnswer(error, run, live));
          return null;
        }
      },
    };
    return live.bytes <= ANSWER_BYTES_MAX && this.queue.offer(work);
  }

  close(): void {
    this.queue.clear();
  }

  private async compared<Answer>(
    { call }: LiveAnswer<Answer>,
    run: ShadowRun,
    live: AnswerSnapshot,
    prepared: PreparedRequest<Answer>,
  ): Promise<Shadowed> {
    try {
      const results = await this.run(prepared);
      const other = snapshotOf(call.endpoint, run.other, { results, response: await prepared.respond(results) });
      const [stable, tested] = run.tested === 'other' ? [live, other] : [other, live];
      const rows = await compareSnapshots(stable, tested);
      return { outcome: 'compared', rows, times: { testedUs: tested.rowUs, stableUs: stable.rowUs } };
    } catch (error) {
      return withoutAnswer(error, run, live);
    }
  }

  private async run(prepared: PreparedItems): Promise<ItemResult[]> {
    const signal = new HangUp();
    const timer = setTimeout(() => signal.abort(), RUN_MS_MAX);
    try {
      return allSucceeded(await runItems(this.batch, prepared, { timeoutMs: null, priority: PRIORITY, signal }));
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A tested version that cannot answer what the stable one can is another version; anything else says nothing. */
function withoutAnswer(error: unknown, { tested }: ShadowRun, live: AnswerSnapshot): Shadowed {
  if (!(error instanceof InterleaveError)) return { outcome: 'failed' };
  if (!NO_ANSWER.has(error.code)) return { outcome: 'unavailable' };
  if (tested === 'live') return { outcome: 'failed' };
  return { outcome: 'compared', rows: incomparable(live), times: { testedUs: 0, stableUs: 0 } };
}
