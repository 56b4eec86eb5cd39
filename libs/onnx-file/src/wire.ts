import type { FileBytes, Span } from './file-bytes';

const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;
const VARINT_BYTES_MAX = 10;

/** A field of a protobuf message as it lies in a file. */
export interface WireField {
  number: number;
  /** Whether it has a length of its own: a text, bytes, a message, packed numbers. */
  hasLength: boolean;
  /** Its tag included. */
  record: Span;
  content: Span;
  /** Of a plain integer; exact up to 2^53. */
  value: number;
}

/** The fields of the message in `span`, in the order of the file. Throws where it is no message. */
export function* fieldsOf(bytes: FileBytes, { start, end }: Span): Generator<WireField> {
  for (let at = start; at < end;) {
    const tag = readVarint(bytes, { start: at, end });
    const field = fieldAt(bytes, tag, { start: at, end });
    at = field.record.end;
    if (at > end) throw new Error(`a field ends behind byte ${end}, the end of what holds it`);
    yield field;
  }
}

function fieldAt(bytes: FileBytes, tag: Varint, { start, end }: Span): WireField {
  const of = (content: Span, value: number, hasLength = false): WireField => ({
    number: Math.floor(tag.value / 8),
    hasLength,
    record: { start, end: content.end },
    content,
    value,
  });
  switch (tag.value % 8) {
    case VARINT: {
      const { value, next } = readVarint(bytes, { start: tag.next, end });
      return of({ start: tag.next, end: next }, value);
    }
    case FIXED_64:
      return of({ start: tag.next, end: tag.next + 8 }, 0);
    case FIXED_32:
      return of({ start: tag.next, end: tag.next + 4 }, 0);
    case BYTES: {
      const { value: length, next } = readVarint(bytes, { start: tag.next, end });
      return of({ start: next, end: next + length }, 0, true);
    }
    default:
      throw new Error(`byte ${tag.next} begins no field`);
  }
}

interface Varint {
  value: number;
  next: number;
}

function readVarint(bytes: FileBytes, { start, end }: Span): Varint {
  let value = 0;
  for (let at = start; at < end && at < start + VARINT_BYTES_MAX; at++) {
    const byte = bytes.at(at);
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, next: at + 1 };
  }
  throw new Error(`byte ${start} begins no number`);
}

/** The integers of a repeated field: packed, or one. */
export function* integersOf(bytes: FileBytes, field: WireField): Generator<number> {
  if (!field.hasLength) return yield field.value;
  for (let at = field.content.start; at < field.content.end;) {
    const { value, next } = readVarint(bytes, { start: at, end: field.content.end });
    yield value;
    at = next;
  }
}

/** A field with a length, of whose content `length` bytes follow. */
export const lengthHeader = (number: number, length: number): Buffer => Buffer.from([...varint(number * 8 + BYTES), ...varint(length)]);

/** A field with a length. */
export const lengthField = (number: number, content: Uint8Array | string): Buffer => {
  const payload = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([lengthHeader(number, payload.byteLength), payload]);
};

export const integerField = (number: number, value: number): Buffer => Buffer.from([...varint(number * 8 + VARINT), ...varint(value)]);

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}
