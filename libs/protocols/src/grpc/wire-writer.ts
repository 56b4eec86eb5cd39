import { WIRE } from './wire-reader';

const FIRST_BYTES = 256;

/** A message as parts of memory, to be copied once, into whatever carries it. */
export class WireMessage {
  constructor(
    readonly parts: readonly Uint8Array[],
    readonly byteLength: number,
  ) {}

  copy(target: Uint8Array, offset: number): void {
    let at = offset;
    for (const part of this.parts) {
      target.set(part, at);
      at += part.byteLength;
    }
  }
}

/** Writes a protobuf message; large values are kept as they are, without a copy. */
export class WireWriter {
  private readonly parts: Uint8Array[] = [];
  private head = Buffer.allocUnsafe(FIRST_BYTES);
  private headStart = 0;
  private headEnd = 0;
  private byteLength = 0;

  text(field: number, text: string): void {
    if (text === '') return;
    const length = Buffer.byteLength(text);
    this.tag(field, WIRE.bytes);
    this.varint(length);
    this.reserve(length);
    this.headEnd += this.head.write(text, this.headEnd);
  }

  bool(field: number, value: boolean): void {
    this.tag(field, WIRE.varint);
    this.varint(value ? 1 : 0);
  }

  /** Packed; integers from 0 to 2^53. */
  integers(field: number, values: readonly number[]): void {
    if (values.length === 0) return;
    this.tag(field, WIRE.bytes);
    this.varint(values.reduce((sum, value) => sum + varintBytes(value), 0));
    for (const value of values) this.varint(value);
  }

  /** Keeps a view of `bytes`: they must not change before the message is copied. */
  bytes(field: number, bytes: Uint8Array): void {
    this.tag(field, WIRE.bytes);
    this.varint(bytes.byteLength);
    this.cut();
    this.parts.push(bytes);
    this.byteLength += bytes.byteLength;
  }

  message(field: number, { parts, byteLength }: WireMessage): void {
    this.tag(field, WIRE.bytes);
    this.varint(byteLength);
    this.cut();
    this.parts.push(...parts);
    this.byteLength += byteLength;
  }

  end(): WireMessage {
    this.cut();
    return new WireMessage(this.parts, this.byteLength);
  }

  private tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  private varint(value: number): void {
    this.reserve(10);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.head[this.headEnd++] = (rest % 0x80) | 0x80;
    this.head[this.headEnd++] = rest;
  }

  /** What was written since the last cut becomes a part. */
  private cut(): void {
    if (this.headEnd === this.headStart) return;
    this.parts.push(this.head.subarray(this.headStart, this.headEnd));
    this.byteLength += this.headEnd - this.headStart;
    this.headStart = this.headEnd;
  }

  private reserve(bytes: number): void {
    if (this.headEnd + bytes <= this.head.length) return;
    this.cut();
    this.head = Buffer.allocUnsafe(Math.max(FIRST_BYTES, bytes));
    this.headStart = 0;
    this.headEnd = 0;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}
