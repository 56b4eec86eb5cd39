import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { readBuffers, type FileRecord } from '@app/batches';
import { InterleaveError } from '@app/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';

const RANGE = /^bytes=(\d{1,15})-(\d{1,15})?$/;

/** Sends a file, or the part of it that the caller asks for. Throws `range_not_satisfiable`. */
export async function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  { record, read }: { record: FileRecord; read: (start: number, end: number) => Readable },
): Promise<void> {
  const range = parseRange(wantedRange(request), record.bytes);
  if (range === null) {
    void reply.header('content-range', `bytes */${record.bytes}`);
    throw new InterleaveError(
      'range_not_satisfiable',
      `Range: expected a start below ${record.bytes}, the bytes of the file, but received ${request.headers.range ?? ''}`,
      { param: 'range' },
    );
  }
  void reply.headers({
    'content-type': contentType(record),
    'content-disposition': `attachment; filename="${record.filename.replace(/[^\w.-]/g, '_')}"`,
    'accept-ranges': 'bytes',
    'content-length': range.end - range.start,
  });
  if (range.isPart) void reply.code(206).header('content-range', `bytes ${range.start}-${range.end - 1}/${record.bytes}`);
  giveBackWhatIsWritten(reply.raw);
  await reply.send(range.end === range.start ? Buffer.alloc(0) : read(range.start, range.end));
}

/** The kernel, or what encrypts for it, is done with a part once its write is called back. Only a stream piped to it may write there. */
function giveBackWhatIsWritten(response: ServerResponse): void {
  const write = response.write.bind(response) as (part: unknown, encoding: BufferEncoding, whenWritten: () => void) => boolean;
  response.write = (part: unknown) => write(part, 'utf8', () => readBuffers.giveBack(part));
}

function contentType({ table, binary }: FileRecord): string {
  if (table === 'csv') return 'text/csv; header=present';
  if (table === 'parquet' || binary === 'parquet') return 'application/vnd.apache.parquet';
  return binary === undefined ? 'application/x-ndjson' : 'application/octet-stream';
}

/** `Range` is for GET alone; `If-Range` names a version, none of which is of these files, as they have no `ETag`: it asks for all. */
function wantedRange({ method, headers }: FastifyRequest): string | undefined {
  return method === 'GET' && headers['if-range'] === undefined ? headers.range : undefined;
}

/** One range, null when it starts past the end; anything else is answered with the whole file, as RFC 9110 allows. */
function parseRange(header: string | undefined, bytes: number): { start: number; end: number; isPart: boolean } | null {
  const [match, from, to] = RANGE.exec(header ?? '') ?? [];
  const start = Number(from);
  const end = to === undefined ? bytes : Math.min(Number(to) + 1, bytes);
  if (match === undefined || (to !== undefined && Number(to) < start)) return { start: 0, end: bytes, isPart: false };
  return start < bytes ? { start, end, isPart: true } : null;
}
