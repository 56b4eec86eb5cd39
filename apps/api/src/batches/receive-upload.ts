import multipart from '@fastify/multipart';
import { InterleaveError, type FileObject } from '@app/contracts';
import { toFileObject, type Upload } from '@app/batches';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { callerOf, checkLane } from '../access/caller';
import { parseExpiry } from './batch-requests';
import { invalid } from './invalid';
import { ContentDigest } from '../http/content-digest';
import { callForBody } from '../http/early-answer';
import { mediaType, refuseEncoded } from '../http/media-type';
import type { BatchService } from './batch.service';

export const FORM = 'multipart/form-data';
const NDJSON = ['application/x-ndjson', 'application/jsonl', 'application/jsonlines'];
/** Tables, packed lines; what a file is, its first bytes say. */
const OTHERS = [
  'application/octet-stream',
  'application/vnd.apache.parquet',
  'application/vnd.apache.arrow.file',
  'application/vnd.apache.arrow.stream',
  'application/gzip',
  'application/zstd',
  'text/csv',
];
const FIELD_BYTES_MAX = 64 * 1024;
const FIELDS_MAX = 16;
const FILENAME_CHARS_MAX = 255;
/** What a form adds to its file, and more. */
export const FORM_BYTES_MAX = 2 * 1024 * 1024;

/** Lets the application take uploads as streams. Call it before the application is ready. */
export function acceptUploads(fastify: FastifyInstance): void {
  // The size is limited where the bytes are counted anyway; a limit here can leave the stream hanging.
  void fastify.register(multipart, {
    throwFileSizeLimit: false,
    limits: { fileSize: Infinity, files: 1, fields: FIELDS_MAX, parts: FIELDS_MAX + 1, fieldSize: FIELD_BYTES_MAX },
  });
}

/** Stores the file of `POST /v1/files`: a form with its fields in any order, or the rows themselves as the body. */
export function receiveUpload(service: BatchService, request: FastifyRequest, reply: FastifyReply): Promise<FileObject> {
  request.refusedBytesMax = Math.max(request.refusedBytesMax, service.fileBytesMax + FORM_BYTES_MAX);
  return service.store(() => receive(service, request, reply));
}

async function receive(service: BatchService, request: FastifyRequest, reply: FastifyReply): Promise<FileObject> {
  const bytesExpected = Number(request.headers['content-length'] ?? 0);
  const caller = callerOf(request);
  const upload = new Reception(service, caller.tenant, bytesExpected);
  try {
    checkLane(caller, 'batch');
    refuseEncoded(request.headers);
    const type = mediaType(request.headers);
    const isForm = type === FORM;
    if (!isForm && ![...NDJSON, ...OTHERS].includes(type))
      throw new InterleaveError(
        'unsupported_media_type',
        `Content-Type: expected ${FORM}, ${NDJSON[0]} or ${OTHERS[0]}; send the file as a form with the fields "purpose" and "file"`,
      );
    await service.checkAnnounced(isForm ? bytesExpected - FORM_BYTES_MAX : bytesExpected, caller);
    if (!isForm) setQueryFields(upload, request);
    const digest = ContentDigest.follow(request.raw);
    callForBody(request, reply.raw);
    await (isForm ? receiveForm(upload, request) : receiveRows(upload, request));
    await digest?.check();
    return await upload.finish();
  } catch (error) {
    await upload.discard();
    throw asRefusal(error);
  }
}

/** One upload while it comes in. */
class Reception {
  private readonly fields = new Map<string, string>();
  private upload: Upload | null = null;
  private filename = '';

  constructor(
    private readonly service: BatchService,
    private readonly tenant: string,
    private readonly bytesExpected: number,
  ) {}

  setField(name: string, value: string): void {
    this.fields.set(name, value);
    if (name === 'purpose') this.checkPurpose();
  }

  async storeFile(filename: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.filename = filename.slice(0, FILENAME_CHARS_MAX);
    this.upload = await this.service.beginUpload(this.bytesExpected);
    for await (const part of content) await this.upload.write(part);
  }

  async finish(): Promise<FileObject> {
    this.checkPurpose();
    if (this.upload === null)
      throw new InterleaveError('invalid_request', 'file: expected a file but the form has none', { param: 'file' });
    const { tenant, filename } = this;
    const expiresAfterSeconds = this.expiresAfterSeconds();
    const description = { filename: filename || 'batch.jsonl', purpose: 'batch' as const, tenant, expiresAfterSeconds };
    return toFileObject(await this.service.commitUpload(this.upload, description));
  }

  async discard(): Promise<void> {
    await this.upload?.discard();
  }

  checkPurpose(): void {
    const purpose = this.fields.get('purpose');
    if (purpose !== 'batch') throw invalid('purpose', '"batch"', purpose);
  }

  /** Null: the default. */
  private expiresAfterSeconds(): number | null {
    const anchor = this.fields.get('expires_after[anchor]');
    const seconds = this.fields.get('expires_after[seconds]');
    if (anchor === undefined && seconds === undefined) return null;
    return parseExpiry('expires_after', { anchor, seconds: seconds === undefined ? undefined : Number(seconds) });
  }
}

async function receiveForm(upload: Reception, request: FastifyRequest): Promise<void> {
  // The plugin learns this from its content-type parser, and those do not run: see fastify-adapter.
  request.isMultipart = () => true;
  for await (const part of request.parts()) {
    if (part.type === 'field') upload.setField(part.fieldname, String(part.value));
    else if (part.fieldname === 'file') await upload.storeFile(part.filename ?? '', part.file);
    else
      throw new InterleaveError('invalid_request', `Unknown file field ${JSON.stringify(part.fieldname.slice(0, 64))}; expected "file"`, {
        param: 'file',
      });
  }
}

/** An upload that is no form has its fields in the query. */
function setQueryFields(upload: Reception, { query }: FastifyRequest): void {
  for (const name of ['purpose', 'expires_after[anchor]', 'expires_after[seconds]']) {
    const value = (query as Record<string, unknown>)[name];
    if (typeof value === 'string') upload.setField(name, value);
  }
  upload.checkPurpose();
}

async function receiveRows(upload: Reception, request: FastifyRequest): Promise<void> {
  const { filename } = request.query as Record<string, unknown>;
  // A refusal must not destroy the request: its sender is still to read the answer.
  const content = request.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  await upload.storeFile(typeof filename === 'string' ? filename : '', content);
}

/** What a form parser or a broken connection throws is the sender's doing; what has a system call is ours. */
export function asRefusal(error: unknown): unknown {
  if (error instanceof InterleaveError || (error as NodeJS.ErrnoException).syscall !== undefined) return error;
  return new InterleaveError('invalid_request', `The upload could not be read: ${(error as Error).message}`, { cause: error });
}
