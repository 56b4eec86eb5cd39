import { Readable } from 'node:stream';
import { type FileObject, type FilePurpose, InterleaveError } from '@app/contracts';
import {
  newBatchId,
  newFileId,
  newManifest,
  removeBatch,
  toBatchView,
  toFileObject,
  type BatchControl,
  type BatchStore,
  type BatchView,
  type FileRecord,
  type FileStore,
  type Manifest,
  type Page,
  type PageRequest,
  type Sees,
  type Upload,
} from '@app/batches';
import { type BatchQueues } from '@app/queues';
import { ENDPOINT_PATHS, parseEndpoint } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import type { Breaker } from '../resilience/breaker';
import type { StorageGuard } from '../resilience/storage-guard';
import { maySee, type Caller } from '../access/caller';
import { invalid, type BatchRequest } from './batch-requests';
import { retryRequest } from './retry-request';

/** As the runner says of a batch that it has taken up. */
const REDIS_AWAY = 'Redis is not reachable';
const ENDPOINTS = `one of ${ENDPOINT_PATHS.join(', ')}`;

export interface BatchServiceParts {
  files: FileStore;
  batches: BatchStore;
  queues: BatchQueues;
  storage: StorageGuard;
  /** Before the hints to the runner. */
  redis: Breaker;
  /** Largest input file. */
  fileBytesMax: number;
  log: Logger;
}

/** Files and batches as the API sees them: what is on disk. Accepting work needs the disk only; Redis may be away. */
export class BatchService {
  constructor(private readonly parts: BatchServiceParts) {}

  get fileBytesMax(): number {
    return this.parts.fileBytesMax;
  }

  /** Rejects with `too_large` or `storage_full` when a file of at least so many bytes cannot be taken. */
  checkAnnounced(bytesMin: number): Promise<void> {
    return this.parts.files.checkAnnounced(Math.max(0, bytesMin));
  }

  /** Rejects with `storage_full` when `bytesExpected` (0: unknown) cannot fit. */
  beginUpload(bytesExpected: number): Promise<Upload> {
    return this.parts.files.beginUpload(bytesExpected);
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

  /**
   * Accepts a batch: when this resolves, it is durable, and the runner will find it whether or not Redis took the hint.
   * The use of the file is noted first and the file is looked for again last, so that a deletion that runs at the same
   * time either sees the batch or makes this refuse it.
   */
  async createBatch(request: BatchRequest & { retryOf?: string }, caller: Caller): Promise<BatchView> {
    if (request.endpoint.includes('?') || parseEndpoint(request.endpoint) === null) throw invalid('endpoint', ENDPOINTS, request.endpoint);
    const file = await this.inputFile(request.inputFileId, caller);
    const createdAt = Math.floor(Date.now() / 1000);
    const manifest = newManifest({
      batchId: newBatchId(),
      tenant: caller.tenant,
      models: caller.models,
      endpoint: request.endpoint,
      inputFileId: file.id,
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
      ...(request.retryOf === undefined ? {} : { retryOf: request.retryOf }),
    });
    const batchId = manifest.batch.id;
    await this.store(async () => {
      await this.parts.files.addUse(file.id, batchId);
      await this.parts.batches.create(manifest);
    });
    if (!(await this.parts.files.mayUse(file.id))) {
      await this.parts.batches.remove(batchId);
      throw unknownInputFile(file.id);
    }
    this.tell(batchId, (queues) => queues.addBatches([batchId]));
    return this.withRedis(toBatchView(manifest, null));
  }

  async getBatch(batchId: string, caller: Caller): Promise<BatchView> {
    return this.withRedis(await this.parts.batches.get(batchId, seenBy(caller)));
  }

  async listBatches(page: PageRequest, caller: Caller): Promise<Page<BatchView>> {
    const { data, hasMore } = await this.parts.batches.list(page, seenBy(caller));
    return { data: data.map((view) => this.withRedis(view)), hasMore };
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
    return this.createBatch(await retryRequest(this.parts.batches, await this.manifestOf(batchId, caller)), caller);
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

  /** A batch that nobody has taken up yet cannot say itself that Redis is away. */
  private withRedis(view: BatchView): BatchView {
    if (view.status !== 'validating' || view.interleave.paused !== undefined || this.isRedisReady()) return view;
    return { ...view, interleave: { ...view.interleave, paused: REDIS_AWAY } };
  }

  /** Only a hint: without it the runners find the change within seconds. */
  private tell(batchId: string, hint: (queues: BatchQueues) => Promise<void>): void {
    this.parts.redis
      .run(() => hint(this.parts.queues))
      .catch((error: Error) => this.parts.log.debug({ batch: batchId, err: error }, 'runners not told; they will look by themselves'));
  }
}

const seenBy =
  (caller: Caller): Sees =>
  (tenant) =>
    maySee(caller, tenant);

function unknownInputFile(fileId: string): InterleaveError {
  return new InterleaveError('not_found', `input_file_id: no file with id ${JSON.stringify(fileId.slice(0, 64))}; upload it first`, {
    param: 'input_file_id',
  });
}
