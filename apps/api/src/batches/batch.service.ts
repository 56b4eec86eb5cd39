import { Readable } from 'node:stream';
import { type FileObject, type FilePurpose, InterleaveError } from '@app/contracts';
import {
  newBatchId,
  newFileId,
  newManifest,
  toBatchView,
  toFileObject,
  type BatchStore,
  type BatchView,
  type FileRecord,
  type FileStore,
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
import { type BatchRequest } from './batch-requests';
import { tableOf } from './table-request';
import { checkUri, type InputPlaces } from './check-uri';
import { invalid } from './invalid';

/** As the runner says of a batch that it has taken up. */
const REDIS_AWAY = 'Redis is not reachable';
/** Redis answers in less than a millisecond; views wait no longer for it. */
const REDIS_ANSWER_MS = 500;
const ENDPOINTS = `one of ${ENDPOINT_PATHS.join(', ')}`;
const COMPLETION_WINDOW_SECONDS = 24 * 3600;

export interface BatchServiceParts {
  files: FileStore;
  batches: BatchStore;
  queues: BatchQueues;
  storage: StorageGuard;
  /** Before the hints to the runner. */
  redis: Breaker;
  /** Largest input file. */
  fileBytesMax: number;
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
  async createBatch(request: BatchRequest, caller: Caller): Promise<BatchView> {
    if (request.endpoint.includes('?') || parseEndpoint(request.endpoint) === null) throw invalid('endpoint', ENDPOINTS, request.endpoint);
    const file = request.inputFileId === null ? null : await this.inputFile(request.inputFileId, caller);
    const table = tableOf(request.table, file, request.endpoint);
    if (request.table.uri !== null) await checkUri(request.table.uri, this.parts.inputs);
    const createdAt = Math.floor(Date.now() / 1000);
    const manifest = newManifest({
      batchId: newBatchId(),
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
      expiresAt: createdAt + COMPLETION_WINDOW_SECONDS,
      table,
    });
    const batchId = manifest.batch.id;
    await this.store(async () => {
      if (file !== null) await this.parts.files.addUse(file.id, batchId);
      await this.parts.batches.create(manifest);
    });
    if (file !== null && !(await this.parts.files.mayUse(file.id))) {
      await this.parts.batches.remove(batchId);
      throw unknownInputFile(file.id);
    }
    this.tell(batchId, (queues) => queues.addBatches([batchId]));
    return this.oneWithRedis(toBatchView(manifest, null));
  }

  async getBatch(batchId: string, caller: Caller): Promise<BatchView> {
    return this.oneWithRedis(await this.parts.batches.get(batchId, seenBy(caller)));
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
      this.tell(batchId, (queues) => queues.announceCancel(batchId));
    } else if (status !== 'cancelling' && status !== 'cancelled') {
      throw new InterleaveError('conflict', `A batch with status '${status}' cannot be cancelled`, { param: 'batch_id' });
    }
    return this.getBatch(batchId, caller);
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

  /** Batches that nobody has taken up yet cannot say themselves that Redis is away. */
  private async withRedis(views: BatchView[]): Promise<BatchView[]> {
    const isSilent = ({ status, interleave }: BatchView): boolean => status === 'validating' && interleave === undefined;
    if (!views.some(isSilent) || (await this.parts.queues.answers(REDIS_ANSWER_MS))) return views;
    return views.map((view) => (isSilent(view) ? { ...view, interleave: { paused: REDIS_AWAY } } : view));
  }

  private async oneWithRedis(view: BatchView): Promise<BatchView> {
    const [only = view] = await this.withRedis([view]);
    return only;
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
