import { runPaths, type Config } from '@app/config';
import { mergingText, type Lane, type WorkerProcessStatus } from '@app/contracts';
import type { CatalogEntry } from '@app/models';
import { fetchStatus, PlacementReader } from '@app/process';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG } from '../tokens';

/** Workers are asked this often at most, however many ask for models. */
const FRESH_MS = 1000;
const ANSWER_MS_MAX = 200;

/** By lane that has the model ready: whether its rows share runs, and why not. */
export type Merging = Partial<Record<Lane, string>>;

/** What both lanes say about merging; the real-time lane is known here, batch workers are asked for their status. */
@Injectable()
export class LaneMerging {
  private batch = new Map<string, string>();
  private reading: Promise<void> | null = null;
  private readAtMs = -Infinity;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly placement: PlacementReader,
  ) {}

  /** What a batch worker said last stands while it does not answer. */
  async of(entry: CatalogEntry): Promise<Merging> {
    await this.refresh();
    const batch = entry.revision === null ? undefined : this.batch.get(keyOf({ ...entry, revision: entry.revision }));
    return { ...(entry.signature !== null && { realtime: mergingText(entry.signature) }), ...(batch !== undefined && { batch }) };
  }

  private refresh(): Promise<void> {
    const nowMs = performance.now();
    if (this.reading === null || nowMs - this.readAtMs > FRESH_MS) {
      this.readAtMs = nowMs;
      this.reading = this.read();
    }
    return this.reading;
  }

  private async read(): Promise<void> {
    const workers = this.placement.workers().filter(({ lane }) => lane === 'batch');
    const statuses = await Promise.all(workers.map(({ id }) => this.statusOf(id)));
    const said = statuses
      .flatMap((status) => status?.models ?? [])
      .flatMap((model) => (model.signature === null ? [] : [[keyOf(model), mergingText(model.signature)] as const]));
    const placed = new Set(workers.flatMap(({ models }) => models.map(keyOf)));
    this.batch = new Map([...this.batch, ...said].filter(([key]) => placed.has(key)));
  }

  private statusOf(workerId: string): Promise<WorkerProcessStatus | null> {
    return fetchStatus('worker', runPaths(this.config.runDir).statusSocket(workerId), ANSWER_MS_MAX).catch(() => null);
  }
}

/** One text for both lanes when they agree. */
export function bothLanesText(merging: Merging): string | null {
  const { realtime, batch } = merging;
  if (realtime === undefined || batch === undefined || realtime === batch) return realtime ?? batch ?? null;
  return `realtime: ${realtime}; batch: ${batch}`;
}

const keyOf = ({ name, version, revision }: { name: string; version: string; revision: number }): string =>
  `${name}\n${version}\n${revision}`;
