import { runPaths, type Config } from '@app/config';
import { InterleaveError, type CancelSignal, type ModelCommand, type WantedModel } from '@app/contracts';
import { ModelNotReady, type ModelCatalog } from '@app/models';
import { commandProcess } from '@app/process';
import { overloaded } from '@app/worker-pool';
import { Inject, Injectable } from '@nestjs/common';
import { CATALOG, CONFIG } from '../tokens';

/** Requests that wait for models to be loaded, in all; each holds its body. */
const WAITING_MAX = 1024;
/** The scheduler is asked again after so long while a model is not on its way: it may have started anew. */
const ASK_MS = 1000;
const RETRY_AFTER_SECONDS = 5;

/** One model that requests wait for. */
interface Load {
  waiting: number;
  /** Resolves when there is something new to say about the model; rejects where waiting is of no use. */
  readonly settled: Promise<void>;
  readonly stop: () => void;
}

/** Has models loaded that requests ask for: one command for each, however many wait for it. */
@Injectable()
export class ModelLoads {
  private readonly loads = new Map<string, Load>();
  private waiting = 0;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
  ) {}

  /** Whether a request that was refused with this may wait. Throws `overloaded` where too many wait. */
  mayHelp(error: unknown): error is ModelNotReady {
    if (!(error instanceof ModelNotReady) || !(error.isOnDemand || error.state === 'unloaded' || this.loads.has(keyOf(error))))
      return false;
    if (this.waiting < WAITING_MAX) return true;
    throw overloaded(`${this.waiting} requests wait for models to be loaded already`, RETRY_AFTER_SECONDS * 1000);
  }

  /**
   * Resolves when the model is ready or has failed, which the next try will tell. Rejects with `worker_unavailable` after
   * `timeoutMs` or `repository.loadWaitMs`, or where the scheduler will not load it; with `client_closed` when the caller goes.
   */
  async wait(wanted: ModelNotReady, timeoutMs: number, signal: CancelSignal): Promise<void> {
    const load = this.loadOf(wanted);
    this.waiting += 1;
    load.waiting += 1;
    try {
      const waitMs = Math.max(0, Math.min(timeoutMs, this.config.repository.loadWaitMs));
      await within(load.settled, { waitMs, signal, late: () => this.tooLate(wanted, waitMs) });
    } finally {
      this.waiting -= 1;
      load.waiting -= 1;
      if (load.waiting === 0) this.end(wanted, load);
    }
  }

  private loadOf(wanted: ModelNotReady): Load {
    const known = this.loads.get(keyOf(wanted));
    if (known !== undefined) return known;
    const created = this.begin(wanted);
    this.loads.set(keyOf(wanted), created);
    return created;
  }

  private begin(wanted: ModelNotReady): Load {
    let stop = (): void => undefined;
    const settled = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (this.stateOf(wanted) === null) resolve();
      };
      const ask = (): void => {
        if (this.stateOf(wanted) !== 'loading') void this.ask(wanted).catch(reject);
      };
      const unsubscribe = this.catalog.onChange(look);
      const timer = setInterval(ask, ASK_MS);
      stop = () => {
        unsubscribe();
        clearInterval(timer);
      };
      ask();
      look(); // it may be there by now
    });
    settled.catch(() => undefined); // those who wait are told
    return { waiting: 0, settled, stop };
  }

  private end(wanted: ModelNotReady, load: Load): void {
    load.stop();
    if (this.loads.get(keyOf(wanted)) === load) this.loads.delete(keyOf(wanted));
  }

  /** Rejects where the scheduler says that it will not load it; where it does not answer it is asked again. */
  private async ask({ model: name, modelVersion }: ModelNotReady): Promise<void> {
    const command: ModelCommand = { name, ...(modelVersion !== null && { version: modelVersion }) };
    const socket = runPaths(this.config.runDir).statusSocket('scheduler');
    const answer = await commandProcess<WantedModel>(socket, '/models/want', command).catch(() => null);
    if (answer?.state !== 'unavailable') return;
    throw new InterleaveError('model_not_servable', `model "${name}" is not loaded: ${answer.reason ?? 'it is not to be loaded now'}`, {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
  }

  /** Null: it is neither loading nor unloaded. */
  private stateOf({ model, modelVersion }: ModelNotReady): ModelNotReady['state'] | null {
    try {
      this.catalog.find(model, modelVersion);
      return null;
    } catch (error) {
      return error instanceof ModelNotReady ? error.state : null;
    }
  }

  private tooLate(wanted: ModelNotReady, waitMs: number): InterleaveError {
    const why = this.catalog.list().find(({ name, version }) => name === wanted.model && version === wanted.modelVersion)?.reason ?? null;
    return new InterleaveError(
      'worker_unavailable',
      `model "${wanted.model}" was not loaded within ${Math.round(waitMs)} ms${why === null ? '' : ` (${why})`}; it is being loaded: ` +
        `try again in ${RETRY_AFTER_SECONDS} s, allow more time, or raise repository.loadWaitMs in interleave.yaml`,
      { retryAfterSeconds: RETRY_AFTER_SECONDS },
    );
  }
}

const keyOf = ({ model, modelVersion }: ModelNotReady): string => `${model}\n${modelVersion ?? ''}`;

function within(
  settled: Promise<void>,
  { waitMs, signal, late }: { waitMs: number; signal: CancelSignal; late: () => InterleaveError },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new InterleaveError('client_closed', 'The caller hung up'));
    const timer = setTimeout(() => reject(late()), waitMs);
    signal.addEventListener('abort', onAbort, { once: true });
    void settled.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    });
  });
}
