import type { Config } from '@app/config';
import { RevisionGone } from '@app/contracts';
import type { ModelCatalog } from '@app/models';
import { Inject, Injectable } from '@nestjs/common';
import type { LiveCall } from '../live/live-call';
import { CATALOG, CONFIG } from '../tokens';
import { ModelLoads } from './model-loads';

/** Times that one request is prepared anew. */
const RENEWALS_MAX = 6;
/** This process may hear of a change a little later than the workers. */
const CHANGE_MS_MAX = 300;

/** Answers requests although the files of their models change, or are not loaded, under them. */
@Injectable()
export class Renewal {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    private readonly loads: ModelLoads,
  ) {}

  /** `work` prepares a request and runs it; it is done again where that helps, within the time of the call. Rejects as it does. */
  async run<T>(call: LiveCall, work: () => Promise<T>): Promise<T> {
    for (let renewals = 0; ; renewals += 1) {
      try {
        return await work();
      } catch (error) {
        const timeLeftMs = this.timeLeftMs(call);
        if (renewals === RENEWALS_MAX || timeLeftMs <= 0 || call.hangUp.aborted) throw error;
        if (this.loads.mayHelp(error)) await this.loads.wait(error, timeLeftMs, call.hangUp);
        else if (!(error instanceof RevisionGone)) throw error;
        else if (renewals > 0) await this.change(Math.min(timeLeftMs, CHANGE_MS_MAX));
      }
    }
  }

  /** As far as is known: the body may allow less or more. */
  private timeLeftMs({ options, timeoutMsMax, arrivedMs }: LiveCall): number {
    return Math.min(options.timeoutMs ?? this.config.realtime.timeoutMs, timeoutMsMax) - (performance.now() - arrivedMs);
  }

  /** Resolves when something is new about models, or after `waitMs`. */
  private change(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        unsubscribe();
        clearTimeout(timer);
        resolve();
      };
      const unsubscribe = this.catalog.onChange(end);
      const timer = setTimeout(end, waitMs);
    });
  }
}
