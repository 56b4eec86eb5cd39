import { readPage, SEES_ALL, type FoundBatch, type Manifest, type PageRequest } from '@app/batches';
import {
  BATCH_PRIORITY_WEIGHTS,
  InterleaveError,
  type BatchDetail,
  type BatchFile,
  type BatchSearchResult,
  type BatchSummary,
  type BatchSummaryPage,
  type ChunkTimeline,
} from '@app/contracts';
import type { Config } from '@app/config';
import { jsonLimits } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import type { Caller } from '../../access/caller';
import { BatchService } from '../../batches/batch.service';
import { CONFIG } from '../../tokens';
import { matches, type BatchFilter } from './batch-filter';
import { FewAtOnce } from './few-at-once';
import { CustomIdSearch, type SearchRequest } from './search/custom-id-search';
import { summaryOf } from './summary';

/** Manifests that one page of a list looks at. The first is asked for every two seconds by each dashboard that is open. */
const LOOKED_AT_MAX = { first: 200, older: 1_000 };
const LISTS_MAX = 4;
const FOUND_IDS_MAX = 20;
/** Shorter parts of ids are in too many. */
const ID_PART_CHARS_MIN = 4;

/** Batches of all tenants, for operators. What is done to them is done by `BatchService`. */
@Injectable()
export class OperatorBatches {
  private readonly search: CustomIdSearch;
  private readonly lists = new FewAtOnce(LISTS_MAX, 'lists of batches');

  constructor(
    @Inject(CONFIG) { http, batch }: Config,
    private readonly service: BatchService,
  ) {
    this.search = new CustomIdSearch(service.stores, { ...jsonLimits(http), bytesMax: batch.rowBytesMax });
  }

  /** Throws `overloaded` while too many list. */
  list(filter: BatchFilter, page: Pick<PageRequest, 'after' | 'limit'>): Promise<BatchSummaryPage> {
    return this.lists.run(() => this.readList(filter, page));
  }

  /** Throws `not_found`. */
  async detail(batchId: string, caller: Caller): Promise<BatchDetail> {
    await this.service.getBatch(batchId, caller);
    const found = await this.service.stores.batches.find(batchId, SEES_ALL);
    const [summary] = found === null ? [] : await this.summaries([found]);
    if (found === null || summary === undefined)
      throw new InterleaveError('not_found', `Batch ${batchId} was deleted`, { param: 'batch_id' });
    const { manifest, view } = found;
    const [inputFile, output, errors, timeline] = await Promise.all([
      this.fileOf(view.input_file_id, caller),
      this.fileOf(view.output_file_id, caller),
      this.fileOf(view.error_file_id, caller),
      this.service.stores.batches.readTimeline(batchId).catch((): ChunkTimeline | null => null),
    ]);
    return { ...summary, ...factsOf(manifest, summary), inputFile, output, errors, timeline };
  }

  /** A retry belongs to whom the batch belongs to. */
  async retry(batchId: string, caller: Caller): Promise<BatchDetail> {
    await this.service.getBatch(batchId, caller);
    const manifest = await this.service.stores.batches.read(batchId);
    const { tenant, models, tenantWeight } = manifest ?? { ...caller, tenantWeight: caller.weight };
    const created = await this.service.retryBatch(batchId, { ...caller, tenant, models, weight: tenantWeight ?? 1 });
    return this.detail(created.id, caller);
  }

  /** Throws `overloaded` while too many search. */
  async find(request: SearchRequest): Promise<BatchSearchResult> {
    const isFirst = request.after === null;
    const ids = isFirst && request.batchId === null ? await this.idsWith(request.query) : [];
    const found = await Promise.all(ids.map((id) => this.service.stores.batches.find(id, SEES_ALL)));
    const batches = await this.summaries(found.flatMap((one) => one ?? []));
    const { rows, searched, next } = await this.search.find(request);
    return { query: request.query, batches, rows, searched, next };
  }

  private async readList(filter: BatchFilter, { after, limit }: Pick<PageRequest, 'after' | 'limit'>): Promise<BatchSummaryPage> {
    const { batches } = this.service.stores;
    const ids = filter.state === 'open' ? await batches.listOpenIds() : await batches.listIds();
    const behind = ids.toReversed().filter((id) => after === null || id < after);
    const looked = behind.slice(0, after === null ? LOOKED_AT_MAX.first : LOOKED_AT_MAX.older);
    const page = await readPage(looked, { limit, order: 'asc', after: null }, async (id) => {
      const found = await batches.find(id, SEES_ALL);
      return found !== null && matches(filter, found) ? found : null;
    });
    const last = page.data.at(-1)?.manifest.batch.id;
    const next = page.hasMore ? last : behind.length > looked.length ? looked.at(-1) : undefined;
    return { batches: await this.summaries(page.data), newest: looked[0] ?? null, next: next ?? null };
  }

  private async idsWith(part: string): Promise<string[]> {
    if (part.length < ID_PART_CHARS_MIN) return [];
    const ids = await this.service.stores.batches.listIds();
    return ids
      .filter((id) => id.includes(part))
      .toReversed()
      .slice(0, FOUND_IDS_MAX);
  }

  private async summaries(found: FoundBatch[]): Promise<BatchSummary[]> {
    const views = await this.service.withRedis(found.map(({ view }) => view));
    return found.map((batch, at) => summaryOf({ ...batch, view: views[at] ?? batch.view }));
  }

  /** Null: there is none, or it is deleted. */
  private async fileOf(fileId: string | null, caller: Caller): Promise<BatchFile | null> {
    if (fileId === null) return null;
    try {
      const { id, bytes, filename } = await this.service.getFile(fileId, caller);
      return { id, bytes, filename };
    } catch (error) {
      if (error instanceof InterleaveError && error.code === 'not_found') return null;
      throw error;
    }
  }
}

function factsOf(
  { batch, pin, writer, tenantWeight = 1, isDryRun, retryOf, input, progress, log = [] }: Manifest,
  { priority }: BatchSummary,
): Omit<BatchDetail, keyof BatchSummary | 'inputFile' | 'output' | 'errors' | 'timeline'> {
  const failures = Object.entries(progress?.failures ?? {}).map(([code, rows]) => ({ code, rows }));
  return {
    weight: BATCH_PRIORITY_WEIGHTS[priority],
    tenantWeight,
    pinned: pin === undefined ? null : { model: pin.name, version: pin.version, digest: pin.digest },
    owner: writer?.nodeId ?? null,
    isDeterministic: batch.deterministic === true,
    isDryRun: isDryRun === true,
    retryOf: retryOf ?? null,
    completionWindow: batch.completion_window,
    metadata: batch.metadata ?? {},
    inputUri: input?.uri ?? null,
    failures: failures.sort((one, other) => other.rows - one.rows),
    problems: batch.errors?.data ?? [],
    log,
  };
}
