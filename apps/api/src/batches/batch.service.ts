import { Readable } from 'node:stream';
import { type BatchLogEntry, type FileObject, type FilePurpose, InterleaveError } from '@app/contracts';
import {
  newFileId,
  newManifest,
  removeBatch,
  toBatchView,
  toFileObject,
  unkeyedClaim,
  type BatchClaim,
  type BatchControl,
  type BatchStore,
  type BatchView,
  type FileRecord,
  type FileStore,
  type FileDescription,
  type IdempotencyKeys,
  type Manifest,
  type ObjectStore,
  type Page,
  type PageRequest,
  type Upload,
} from '@app/batches';
import { type BatchQueues } from '@app/queues';
import { ENDPOINT_PATHS, parseEndpoint } from '@app/protocols';
import { activeCarrier, type Logger } from '@app/telemetry';
import type { Breaker } from '../resilience/breaker';
import type { StorageGuard } from '../resilience/storage-guard';
import { seenBy, type Caller } from '../access/caller';
import { type BatchRequest } from './batch-requests';
import { checkUri, type InputPlaces } from './check-uri';
import { invalid } from './invalid';
import { checkSources, retryRequest, type RetryRequest } from './retry-request';
import { tableOf } from './table-request';
import type { TenantQuotas } from './tenant-quotas';
import type { UploadService } from './upload.service';

/** As the runner says of a batch that it has taken up. */
const REDIS_AWAY = 'Redis is not reachable';
/** Redis answers in less than a millisecond; views wait no longer for it. */
const REDIS_ANSWER_MS = 500;
const ENDPOINTS = `one of ${ENDPOINT_PATHS.join(', ')}`;

export interface BatchServiceParts {
  store: ObjectStore;
  files: FileStore;
  batches: BatchStore;
  uploads: UploadService;
  idempotency: IdempotencyKeys;
  quotas: TenantQuotas;
  queues: BatchQueues;
  storage: StorageGuard;
  /** Before the hints to the runner. */
  redis: Breaker;
  /** Largest input file. */
  fileBytesMax: number;
  /** Life of an uploaded file for which its sender names none. */
  fileLifeSeconds: number;
  /** What batches may name by a URI. */
  inputs: InputPlaces;
  log: Logger;
}

/** Files and batches as the API sees them: what is on disk. Accepting work needs the disk only; Redis may be away. */
export class BatchService {
  constructor(private readonly parts: BatchServiceParts) {}

  get fileBytesMax(): number {
    return this.parts.fileBytesMax;
  }

  /** For those who look deeper than clients may. */
  get stores(): Pick<BatchServiceParts, 'store' | 'files' | 'batches'> {
    return this.parts;
  }

  get uploads(): UploadService {
    return this.parts.uploads;
  }

  /** Rejects with `too_large`, `storage_full` or `overloaded` when a file of at least so many bytes cannot be taken. */
  async checkAnnounced(bytesMin: number, { tenant }: Caller): Promise<void> {
    await this.parts.files.checkAnnounced(Math.max(0, bytesMin));
    await this.parts.quotas.checkFile(tenant, Math.max(0, bytesMin));
  }

  /** Rejects with `storage_full` when `bytesExpected` (0: unknown) cannot fit. */
  beginUpload(bytesExpected: number): Promise<Upload> {
    return this.parts.files.beginUpload(bytesExpected);
  }

  /** Ends an upload, within the tenant's quota. `expiresAfterSeconds` null: the default. */
  commitUpload(upload: Upload, description: FileDescription): Promise<FileRecord> {
    const expiresAfterSeconds = description.expiresAfterSeconds ?? this.parts.fileLifeSeconds;
    return this.parts.quotas.storeFile(description.tenant, upload.byteCount, () => upload.commit({ ...description, expiresAfterSeconds }));
  }

  /** For whatever writes to DATA_DIR: rejects with `storage_full`, without trying `work`, while writes fail. */
  store<T>(work: () => Promise<T>): Promise<T> {
    return this.parts.storage.write(work);
  }

  async getFile(fileId: string, caller: Caller): Promise<FileObject> {
    return toFileObject(await this.parts.files.get(fileId, seenBy(caller)));
  }

  async listFiles(page: PageRequest, purpose: FilePurpose | null, caller: Caller): Promise<Page<FileObject>> {
    const { data, hasMore } = await this.parts.files.list(page, purpose, seenBy(caller));
    return { data: data.map(toFileObject), hasMore };
  }

  /** Throws `conflict` while a batch uses the file. */
  deleteFile(fileId: string, caller: Caller): Promise<void> {
    return this.store(() => this.parts.files.delete(fileId, (batchId) => this.parts.batches.isOpen(batchId), seenBy(caller)));
  }

  async openContent(fileId: string, caller: Caller): Promise<{ record: FileRecord; read: (start: number, end: number) => Readable }> {
    const record = await this.parts.files.get(fileId, seenBy(caller));
    return { record, read: (start, end) => Readable.from(this.parts.files.openContent(record, { start, end }), { objectMode: false }) };
  }

  /** `key`: of an `Idempotency-Key`, with the body that came with it; requests with the same ones get the same batch. */
  async createBatch(request: BatchRequest, caller: Caller, key: { value: string; body: Uint8Array } | null): Promise<BatchView> {
    if (key === null) return this.makeBatch(request, caller, unkeyedClaim());
    const claim = await this.store(() => this.parts.idempotency.claim(caller.tenant, key.value, key.body));
    if (typeof claim === 'string') return this.getBatch(claim, caller);
    try {
      return await this.makeBatch(request, caller, claim);
    } catch (error) {
      await claim.release().catch(() => false);
      throw error;
    }
  }

  /**
   * Accepts a batch: when this resolves, it is durable, and the runner will find it whether or not Redis took the hint.
   * The use of the file is noted first and the file is looked for again last, so that a deletion that runs at the same
   * time either sees the batch or makes this refuse it. It is the same with the batches whose rows are retried.
   */
  private async makeBatch(request: BatchRequest | RetryRequest, caller: Caller, claim: BatchClaim): Promise<BatchView> {
    if (request.endpoint.includes('?') || parseEndpoint(request.endpoint) === null) throw invalid('endpoint', ENDPOINTS, request.endpoint);
    const file = request.inputFileId === null ? null : await this.inputFile(request.inputFileId, caller);
    const table = 'retryOf' in request ? request.prepared : tableOf(request.table, file, request.endpoint);
    const uri = table.input?.uri ?? null;
    if (uri !== null) await checkUri(uri, this.parts.inputs);
    const createdAt = Math.floor(Date.now() / 1000);
    const manifest = newManifest({
      batchId: claim.batchId,
      tenant: caller.tenant,
      models: caller.models,
      endpoint: request.endpoint,
      inputFileId: file?.id ?? null,
      outputFileId: newFileId(),
      errorFileId: newFileId(),
      metadata: request.metadata,
      isDeterministic: request.isDeterministic,
      outputExpiresAfterSeconds: request.outputExpiresAfterSeconds,
      createdAt,
      expiresAt: createdAt + request.completionWindowSeconds,
      completionWindow: request.completionWindow,
      priority: request.priority,
      tenantWeight: caller.weight,
      isDryRun: request.isDryRun,
      ...('retryOf' in request ? { retryOf: request.retryOf } : {}),
      table,
      trace: activeCarrier(),
    });
    const batchId = manifest.batch.id;
    const sources = 'sources' in request ? request.sources : [];
    try {
      await this.parts.quotas.createBatch(caller.tenant, file?.rows ?? 0, () => this.storeBatch(manifest, sources));
    } catch (error) {
      if (await claim.release().catch(() => false)) await this.removeRefused(batchId, sources).catch(() => undefined);
      throw error;
    }
    await claim.keep().catch(() => undefined); // whoever comes with the key finds the batch
    this.tell(batchId, (queues) => queues.addBatches([batchId]));
    return this.oneWithRedis(toBatchView(manifest, null));
  }

  async getBatch(batchId: string, caller: Caller): Promise<BatchView> {
    return this.oneWithRedis(await this.parts.batches.get(batchId, seenBy(caller)));
  }

  /** What happened to the batch, in order of time. */
  async readLog(batchId: string, caller: Caller): Promise<BatchLogEntry[]> {
    await this.parts.batches.get(batchId, seenBy(caller));
    return (await this.parts.batches.read(batchId))?.log ?? [];
  }

  async listBatches(page: PageRequest, caller: Caller): Promise<Page<BatchView>> {
    const { data, hasMore } = await this.parts.batches.list(page, seenBy(caller));
    return { data: await this.withRedis(data), hasMore };
  }

  /** Throws `conflict` for a batch that is over or about to be. Asking twice is no error. */
  async cancelBatch(batchId: string, caller: Caller): Promise<BatchView> {
    const { status } = await this.getBatch(batchId, caller);
    if (status === 'validating' || status === 'in_progress') {
      await this.store(() => this.parts.batches.requestCancel(batchId));
      this.tell(batchId, (queues) => queues.announceChange(batchId));
    } else if (status !== 'cancelling' && status !== 'cancelled') {
      throw new InterleaveError('conflict', `A batch with status '${status}' cannot be cancelled`, { param: 'batch_id' });
    }
    return this.getBatch(batchId, caller);
  }

  /**
   * Pauses a batch, lets it go on, or changes its priority; its owner follows within a second. Throws `conflict` for a batch that is over
   * or about to be. Asking twice is no error.
   */
  async changeBatch(batchId: string, change: Partial<BatchControl>, caller: Caller): Promise<BatchView> {
    const manifest = await this.manifestOf(batchId, caller);
    const { status } = await this.getBatch(batchId, caller);
    if (status !== 'validating' && status !== 'in_progress')
      throw new InterleaveError('conflict', `A batch with status '${status}' cannot be paused, resumed or given a priority`, {
        param: 'batch_id',
      });
    await this.store(() => this.parts.batches.changeControl(manifest, change));
    this.tell(batchId, (queues) => queues.announceChange(batchId));
    return this.getBatch(batchId, caller);
  }

  /** A new batch over the rows that failed or did not run. Throws `conflict` where there are none. */
  async retryBatch(batchId: string, caller: Caller): Promise<BatchView> {
    return this.makeBatch(await retryRequest(this.parts.batches, await this.manifestOf(batchId, caller)), caller, unkeyedClaim());
  }

  /** With its output files. Throws `conflict` for a batch that is not over. */
  async deleteBatch(batchId: string, caller: Caller): Promise<void> {
    await this.manifestOf(batchId, caller);
    await this.store(() => removeBatch(this.parts, batchId));
  }

  /** The BullMQ queues for bull-board. */
  boardQueues(): ReturnType<BatchQueues['boardQueues']> {
    return this.parts.queues.boardQueues();
  }

  isRedisReady(): boolean {
    return this.parts.queues.isReady();
  }

  close(): Promise<void> {
    return this.parts.queues.close();
  }

  /** Batches that nobody has taken up yet cannot say themselves that Redis is away. */
  async withRedis(views: BatchView[]): Promise<BatchView[]> {
    const isSilent = ({ status, interleave }: BatchView): boolean => status === 'validating' && interleave.paused === undefined;
    if (!views.some(isSilent) || (await this.parts.queues.answers(REDIS_ANSWER_MS))) return views;
    return views.map((view) => (isSilent(view) ? { ...view, interleave: { ...view.interleave, paused: REDIS_AWAY } } : view));
  }

  /** `sources`: the batches whose rows it retries. */
  private async storeBatch(manifest: Manifest, sources: readonly string[]): Promise<void> {
    const { id, input_file_id: fileId } = manifest.batch;
    await this.store(async () => {
      if (fileId !== null) await this.parts.files.addUse(fileId, id);
      for (const source of sources) await this.parts.batches.addRetry(source, id);
      await this.parts.batches.create(manifest);
    });
    if (fileId !== null && !(await this.parts.files.mayUse(fileId))) throw unknownInputFile(fileId);
    await checkSources(this.parts.batches, sources);
  }

  private async removeRefused(batchId: string, sources: readonly string[]): Promise<void> {
    await this.parts.batches.remove(batchId);
    for (const source of sources) await this.parts.batches.removeRetry(source, batchId);
  }

  /** Throws `not_found`, also for what the caller may not see. */
  private async manifestOf(batchId: string, caller: Caller): Promise<Manifest> {
    await this.parts.batches.get(batchId, seenBy(caller));
    const manifest = await this.parts.batches.read(batchId);
    if (manifest === null) throw new InterleaveError('not_found', `Batch ${batchId} was deleted`, { param: 'batch_id' });
    return manifest;
  }

  private async inputFile(fileId: string, caller: Caller): Promise<FileRecord> {
    const file = await this.parts.files.get(fileId, seenBy(caller)).catch((error: unknown) => {
      throw error instanceof InterleaveError && error.code === 'not_found' ? unknownInputFile(fileId) : error;
    });
    if (file.purpose === 'batch') return file;
    throw new InterleaveError(
      'invalid_request',
      `input_file_id: expected a file with purpose "batch" but ${fileId} has "${file.purpose}"`,
      { param: 'input_file_id' },
    );
  }

  private async oneWithRedis(view: BatchView): Promise<BatchView> {
    const [only = view] = await this.withRedis([view]);
    return only;
  }

  /** Only a hint: without it the runners find the change within seconds. */
  private tell(batchId: string, hint: (queues: BatchQueues) => Promise<void>): void {
    this.parts.redis
      .run(() => hint(this.parts.queues))
      .catch((error: Error) => this.parts.log.debug({ batch_id: batchId, err: error }, 'runners not told; they will look by themselves'));
  }
}

function unknownInputFile(fileId: string): InterleaveError {
  return new InterleaveError('not_found', `input_file_id: no file with id ${JSON.stringify(fileId.slice(0, 64))}; upload it first`, {
    param: 'input_file_id',
  });
}
