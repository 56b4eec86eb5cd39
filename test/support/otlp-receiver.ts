import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A span as a collector sees it. Ids in hex, times in milliseconds since 1970. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  /** Empty: it is the first of its trace. */
  parentId: string;
  name: string;
  kind: number;
  startMs: number;
  endMs: number;
  attributes: Record<string, string | number | boolean>;
  links: { traceId: string; spanId: string }[];
  hasFailed: boolean;
  resource: Record<string, string | number | boolean>;
}

const WAIT_MS_MAX = 20_000;
const ERROR_STATUS = 2;

/** A collector of traces: takes OTLP in protobuf over HTTP, and keeps all spans. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** Headers of the last request. */
  headers: Record<string, unknown> = {};
  private constructor(private readonly server: Server) {}

  static async open(): Promise<OtlpReceiver> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const body = Buffer.concat(parts);
        receiver.headers = request.headers;
        receiver.spans.push(...spansOf(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body));
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
    const receiver = new OtlpReceiver(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The spans of the trace once `isWhole` says so of them. */
  async trace(traceId: string, isWhole: (spans: ReceivedSpan[]) => boolean): Promise<ReceivedSpan[]> {
    for (const endMs = Date.now() + WAIT_MS_MAX; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const spans = this.spans.filter((span) => span.traceId === traceId);
      if (isWhole(spans)) return spans;
      if (Date.now() > endMs) throw new Error(`the trace is not whole:\n${treeOf(spans)}`);
    }
  }

  close(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }
}

/** Names below each other, for expectations: each span under its parent, in order of time. */
export function treeOf(spans: ReceivedSpan[], parentId = '', depth = 0): string {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const isChild = (span: ReceivedSpan): boolean => (parentId === '' ? !ids.has(span.parentId) : span.parentId === parentId);
  return spans
    .filter(isChild)
    .sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs)
    .map((span) => `${'  '.repeat(depth)}${span.name}\n${treeOf(spans, span.spanId, depth + 1)}`)
    .join('');
}

interface Field {
  number: number;
  value: Buffer | bigint;
}

/** The fields of one message; of fixed and variable integers the value, of others the bytes. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    if (wire === 0) fields.push({ number: tag >> 3, value: varint() });
    else if (wire === 1) fields.push({ number: tag >> 3, value: bytes.readBigUInt64LE((at += 8) - 8) });
    else if (wire === 5) fields.push({ number: tag >> 3, value: BigInt(bytes.readUInt32LE((at += 4) - 4)) });
    else {
      const length = Number(varint());
      fields.push({ number: tag >> 3, value: bytes.subarray(at, (at += length)) });
    }
  }
  return fields;
}

const all = (fields: Field[], number: number): Buffer[] =>
  fields.filter((field) => field.number === number).map(({ value }) => value as Buffer);
const bytesOf = (fields: Field[], number: number): Buffer => all(fields, number)[0] ?? Buffer.alloc(0);
const numberOf = (fields: Field[], number: number): number => Number(fields.find((field) => field.number === number)?.value ?? 0);
const messages = (fields: Field[], number: number): Field[][] => all(fields, number).map(fieldsOf);

function spansOf(body: Buffer): ReceivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((resourceSpans) => {
    const resource = attributesOf(fieldsOf(bytesOf(resourceSpans, 1)), 1);
    return messages(resourceSpans, 2).flatMap((scope) => messages(scope, 2).map((span) => spanOf(span, resource)));
  });
}

function spanOf(span: Field[], resource: ReceivedSpan['resource']): ReceivedSpan {
  return {
    traceId: bytesOf(span, 1).toString('hex'),
    spanId: bytesOf(span, 2).toString('hex'),
    parentId: bytesOf(span, 4).toString('hex'),
    name: bytesOf(span, 5).toString(),
    kind: numberOf(span, 6),
    startMs: numberOf(span, 7) / 1e6,
    endMs: numberOf(span, 8) / 1e6,
    attributes: attributesOf(span, 9),
    links: messages(span, 13).map((link) => ({ traceId: bytesOf(link, 1).toString('hex'), spanId: bytesOf(link, 2).toString('hex') })),
    hasFailed: numberOf(fieldsOf(bytesOf(span, 15)), 3) === ERROR_STATUS,
    resource,
  };
}

function attributesOf(fields: Field[], number: number): Record<string, string | number | boolean> {
  return Object.fromEntries(messages(fields, number).map((pair) => [bytesOf(pair, 1).toString(), valueOf(fieldsOf(bytesOf(pair, 2)))]));
}

function valueOf([field]: Field[]): string | number | boolean {
  if (field === undefined) return '';
  if (field.number === 1) return (field.value as Buffer).toString();
  if (field.number === 2) return field.value === 1n;
  if (field.number === 3) return Number(BigInt.asIntN(64, field.value as bigint));
  const double = Buffer.alloc(8);
  if (field.number === 4) double.writeBigUInt64LE(field.value as bigint);
  return double.readDoubleLE();
}
