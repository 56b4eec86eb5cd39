import { InterleaveError } from '@app/contracts';
import type { BatchView } from '@app/batches';
import type { Config } from '@app/config';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { ANONYMOUS } from '../../access/caller';
import { CONFIG, LOGGER } from '../../tokens';
import { BatchService } from '../batch.service';

/** As often as the owner of a batch writes its manifest. */
const POLL_MS = { directory: 1_000, bucket: 5_000 };

export interface BatchWatcher {
  /** The batch as it is, at first and then again and again. */
  onBatch(view: BatchView): void;
  /** There is nothing more to be told: the batch was deleted, or this process ends. */
  onEnd(): void;
}

/** Looks at batches for all who watch them: one look for each batch, however many watch. */
@Injectable()
export class BatchWatches implements OnModuleDestroy {
  private readonly watched = new Map<string, Set<BatchWatcher>>();
  private readonly pollMs: number;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly service: BatchService,
  ) {
    this.pollMs = POLL_MS[config.storage.kind];
  }

  /** Until what it returns is called, or the watcher's `onEnd` was. The caller was found to be allowed to see the batch. */
  watch(batchId: string, watcher: BatchWatcher): () => void {
    const watchers = this.watched.get(batchId) ?? new Set();
    watchers.add(watcher);
    if (!this.watched.has(batchId)) {
      this.watched.set(batchId, watchers);
      this.lookLater(batchId);
    }
    return () => this.drop(batchId, watchers, watcher);
  }

  onModuleDestroy(): void {
    for (const batchId of [...this.watched.keys()]) this.end(batchId);
  }

  private lookLater(batchId: string): void {
    setTimeout(() => void this.look(batchId), this.pollMs).unref();
  }

  private async look(batchId: string): Promise<void> {
    const watchers = this.watched.get(batchId);
    if (watchers === undefined) return;
    try {
      const view = await this.service.getBatch(batchId, ANONYMOUS);
      for (const watcher of [...watchers]) watcher.onBatch(view);
    } catch (error) {
      if (error instanceof InterleaveError && error.code === 'not_found') return this.end(batchId);
      this.log.debug({ batch_id: batchId, err: error }, 'a watched batch cannot be read now');
    }
    if (this.watched.get(batchId) === watchers) this.lookLater(batchId);
  }

  private end(batchId: string): void {
    const watchers = this.watched.get(batchId) ?? [];
    this.watched.delete(batchId);
    for (const watcher of watchers) watcher.onEnd();
  }

  private drop(batchId: string, watchers: Set<BatchWatcher>, watcher: BatchWatcher): void {
    watchers.delete(watcher);
    if (watchers.size === 0 && this.watched.get(batchId) === watchers) this.watched.delete(batchId);
  }
}
