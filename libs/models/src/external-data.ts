import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ModelFileError } from './model-files';

const WINDOW_BYTES = 64 * 1024;
const DEPTH_MAX = 64;
const LOCATION_BYTES_MAX = 4096;
const LOCATIONS_MAX = 10_000;

/** Messages of onnx.proto that can hold a tensor, with the fields in which they hold each other. */
const HOLDS: Record<string, Record<number, string>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'entry' },
};
const KEY = 1;
const VALUE = 2;

/**
 * The files beside a graph that hold its weights, as the graph names them: relative to its folder, each once. Weights inside of
 * the graph are skipped, not read. Throws a `ModelFileError` for a file that is no ONNX graph.
 */
export function externalDataOf(graphPath: string): string[] {
  const file = openSync(graphPath, 'r');
  try {
    const walk = new Walk(new ByteWindow(file));
    walk.message('model', 0, fstatSync(file).size, 0);
    if (!walk.hasGraph) throw new Error('it holds no graph');
    return [...walk.locations];
  } catch (error) {
    throw new ModelFileError(`${graphPath}: expected an ONNX graph: ${(error as Error).message}`);
  } finally {
    closeSync(file);
  }
}

/** A part of a file, by its first byte and the one after its last. */
interface Span {
  start: number;
  end: number;
}

class Walk {
  readonly locations = new Set<string>();
  hasGraph = false;

  constructor(private readonly bytes: ByteWindow) {}

  message(kind: string, start: number, end: number, depth: number): void {
    if (depth > DEPTH_MAX) throw new Error(`more than ${DEPTH_MAX} levels`);
    for (const [field, span] of this.fields({ start, end })) {
      const inner = HOLDS[kind]?.[field];
      if (inner === undefined) continue;
      this.hasGraph ||= kind === 'model' && inner === 'graph';
      if (inner === 'entry') this.entry(span);
      else this.message(inner, span.start, span.end, depth + 1);
    }
  }

  /** One `StringStringEntryProto` of a tensor's `external_data`. */
  private entry(span: Span): void {
    const parts = new Map(this.fields(span));
    if (this.text(parts.get(KEY)) !== 'location') return;
    this.locations.add(this.text(parts.get(VALUE)));
    if (this.locations.size > LOCATIONS_MAX) throw new Error(`its weights are in more than ${LOCATIONS_MAX} files`);
  }

  private text(span: Span = { start: 0, end: 0 }): string {
    if (span.end - span.start > LOCATION_BYTES_MAX) throw new Error(`the name of a file has more than ${LOCATION_BYTES_MAX} bytes`);
    return this.bytes.slice(span.start, span.end).toString('utf8');
  }

  /** The fields that have a length; others are passed over. */
  private *fields({ start, end }: Span): Generator<[number, Span]> {
    let at = start;
    while (at < end) {
      const tag = this.varint(at, end);
      const wire = tag.value % 8;
      at = tag.next;
      if (wire === 0) at = this.varint(at, end).next;
      else if (wire === 1) at += 8;
      else if (wire === 5) at += 4;
      else if (wire !== 2) throw new Error(`byte ${at} begins no field`);
      else {
        const length = this.varint(at, end);
        at = length.next + length.value;
        if (at <= end) yield [Math.floor(tag.value / 8), { start: length.next, end: at }];
      }
      if (at > end) throw new Error(`a field ends behind byte ${end}, the end of what holds it`);
    }
  }

  private varint(start: number, end: number): { value: number; next: number } {
    let value = 0;
    for (let at = start; at < end && at < start + 10; at++) {
      const byte = this.bytes.at(at);
      value += (byte & 0x7f) * 2 ** (7 * (at - start));
      if (byte < 0x80) return { value, next: at + 1 };
    }
    throw new Error(`byte ${start} begins no number`);
  }
}

/** Reads a file at any place, a window at a time. */
class ByteWindow {
  private readonly buffer = Buffer.alloc(WINDOW_BYTES);
  private start = 0;
  private end = 0;

  constructor(private readonly file: number) {}

  at(position: number): number {
    if (position < this.start || position >= this.end) {
      this.start = position;
      this.end = position + readSync(this.file, this.buffer, 0, WINDOW_BYTES, position);
      if (position >= this.end) throw new Error('the file became shorter');
    }
    return this.buffer[position - this.start] as number;
  }

  slice(start: number, end: number): Buffer {
    return Buffer.from(Array.from({ length: end - start }, (_, i) => this.at(start + i)));
  }
}
