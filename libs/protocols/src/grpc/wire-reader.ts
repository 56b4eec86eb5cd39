import type { InterleaveError } from '@app/contracts';
import { invalid } from '../checks';

/** How a field lies on the wire (protobuf encoding); groups are refused. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const FIELD_MAX = 2 ** 29 - 1;
const TWO_32 = 2 ** 32;

/**
 * Reads a protobuf message field by field, in the order of the wire. Bytes stay views of the message. Throws
 * `invalid_request` where the message is cut short or is none.
 */
export class WireReader {
  /** Of the field that was read last. */
  field = 0;
  wireType = 0;
  private offset = 0;
  /** The two halves of the varint that was read last. */
  private low = 0;
  private high = 0;

  constructor(private readonly bytes: Buffer) {}

  /** Goes to the next field; false at the end. Its value must be read, or skipped. */
  next(): boolean {
    if (this.offset === this.bytes.length) return false;
    this.readVarint();
    if (this.high !== 0) throw broken('a field number is out of range');
    this.wireType = this.low & 7;
    this.field = this.low >>> 3;
    if (this.field === 0 || this.field > FIELD_MAX) throw broken('a field number is out of range');
    return true;
  }

  /** Whether the value that comes is that of `field`, and length-delimited: a text, bytes, a message. Others are as unknown. */
  isBytes(field: number): boolean {
    return this.field === field && this.wireType === WIRE.bytes;
  }

  isVarint(field: number): boolean {
    return this.field === field && this.wireType === WIRE.varint;
  }

  isFixed64(field: number): boolean {
    return this.field === field && this.wireType === WIRE.fixed64;
  }

  get hasMore(): boolean {
    return this.offset < this.bytes.length;
  }

  skip(): void {
    switch (this.wireType) {
      case WIRE.varint:
        return this.readVarint();
      case WIRE.fixed64:
        return void this.take(8);
      case WIRE.bytes:
        return void this.view();
      case WIRE.fixed32:
        return void this.take(4);
      default:
        throw broken(`field ${this.field} has the wire type ${this.wireType}`);
    }
  }

  /** A view of a length-delimited value. */
  view(): Buffer {
    this.readVarint();
    if (this.high !== 0) throw cutShort();
    return this.take(this.low);
  }

  text(): string {
    const view = this.view();
    try {
      return decoder.decode(view);
    } catch {
      throw broken(`field ${this.field} is no UTF-8`);
    }
  }

  bool(): boolean {
    this.readVarint();
    return (this.low | this.high) !== 0;
  }

  /** A signed integer of 64 bits: a number up to 2^53, a bigint beyond. */
  int64(): number | bigint {
    this.readVarint();
    const high = this.high | 0;
    const value = high * TWO_32 + this.low;
    return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(this.low);
  }

  uint64(): number | bigint {
    this.readVarint();
    const value = this.high * TWO_32 + this.low;
    return Number.isSafeInteger(value) ? value : (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  double(): number {
    return this.take(8).readDoubleLE();
  }

  /** A varint's two halves into `words`, as a little-endian integer of 64 bits. */
  words(words: Uint32Array, index: number): void {
    this.readVarint();
    words[2 * index] = this.low;
    words[2 * index + 1] = this.high;
  }

  /** A view of the values of a repeated field: packed, or one of the wire type. */
  values(wireType: number): Buffer {
    if (this.wireType === WIRE.bytes) return this.view();
    if (this.wireType !== wireType) throw broken(`field ${this.field} has the wire type ${this.wireType}`);
    const start = this.offset;
    this.skip();
    return this.bytes.subarray(start, this.offset);
  }

  private take(length: number): Buffer {
    const end = this.offset + length;
    if (end > this.bytes.length) throw cutShort();
    const view = this.bytes.subarray(this.offset, end);
    this.offset = end;
    return view;
  }

  /** At most ten bytes of seven bits, the lowest first. */
  private readVarint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.offset++];
      if (byte === undefined) throw cutShort();
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) break;
      if (shift === 63) throw broken('an integer has more than 64 bits');
    }
    this.low = low >>> 0;
    this.high = high >>> 0;
  }
}

function broken(why: string): InterleaveError {
  return invalid(`expected a message of the Open Inference Protocol (inference.proto) but ${why}`, 'message');
}

const cutShort = (): InterleaveError => broken('it ends within a field');
