import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ExternalFiles, type LocatedData } from './external-data';
import { FileBytes, lengthOf, type Span } from './file-bytes';
import type { OnnxDim, OnnxFile, OnnxNode, OnnxValue, OnnxWeight } from './read-file';
import { fieldsOf, integerField, lengthField, lengthHeader } from './wire';

/** Pages of memory: the runtime maps what lies in such a file. */
const ALIGNMENT_BYTES = 4096;

/** An input or output that the graph of the file does not declare. */
export interface DeclaredValue {
  name: string;
  elementType: number;
  dims: OnnxDim[];
}

/** Some nodes of a file as a graph of their own. What the file declares goes over as it lies there. */
export interface OnnxPart {
  nodes: readonly OnnxNode[];
  weights: readonly OnnxWeight[];
  inputs: readonly (OnnxValue | DeclaredValue)[];
  outputs: readonly (OnnxValue | DeclaredValue)[];
}

/**
 * Writes a part of a model to `path`. Weights within the graph stay within, others go to one file beside it, `<name>.data`. Bytes are
 * copied from file to file, so a model may be of any size. Throws an Error that names the file at fault.
 */
export function writeOnnxPart(file: OnnxFile, part: OnnxPart, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const located = locateAll(file, part.weights);
  writeWith(path, (out) => FileBytes.with(file.path, (bytes) => writeModel(out, bytes, file, part, `${basename(path)}.data`)));
  if (located.length > 0) writeWith(`${path}.data`, (out) => writeData(out, located));
}

function locateAll(file: OnnxFile, weights: readonly OnnxWeight[]): LocatedData[] {
  const files = new ExternalFiles(file);
  return weights.flatMap((weight) => (weight.external === null ? [] : [files.locate(weight, weight.external)]));
}

function writeModel(out: Output, bytes: FileBytes, file: OnnxFile, part: OnnxPart, dataName: string): void {
  const graph = graphPieces(bytes, file, part, dataName);
  const length = graph.reduce((sum, piece) => sum + (piece instanceof Uint8Array ? piece.byteLength : lengthOf(piece)), 0);
  const pieces = [...file.others, lengthHeader(7, length), ...graph];
  for (const piece of pieces)
    if (piece instanceof Uint8Array) out.write(piece);
    else for (const copied of bytes.pieces(piece)) out.write(copied);
}

function graphPieces(bytes: FileBytes, file: OnnxFile, part: OnnxPart, dataName: string): (Span | Uint8Array)[] {
  const names = new Set([...part.weights.map(({ name }) => name), ...part.nodes.flatMap(({ outputs }) => outputs)]);
  const place = new DataPlaces(file, dataName);
  return [
    ...part.nodes.map(({ record }) => record),
    ...part.weights.map((weight) => (weight.external === null ? weight.record : place.relocated(bytes, weight))),
    ...part.inputs.map((value) => declaration(11, value)),
    ...part.outputs.map((value) => declaration(12, value)),
    ...file.graph.notes.filter(({ name }) => names.has(name)).map(({ record }) => record),
    ...file.graph.others,
  ];
}

/** Gives each external weight its place in the new file, in the order in which they are asked for. */
class DataPlaces {
  private readonly files: ExternalFiles;
  private offset = 0;

  constructor(
    file: OnnxFile,
    private readonly dataName: string,
  ) {
    this.files = new ExternalFiles(file);
  }

  /** The weight's record with its new place. */
  relocated(bytes: FileBytes, weight: OnnxWeight): Buffer {
    if (weight.external === null) throw new Error(`the weight "${weight.name}" lies in the graph`);
    const length = lengthOf(this.files.locate(weight, weight.external).span);
    const [tensor] = fieldsOf(bytes, weight.record);
    if (tensor === undefined) throw new Error(`the weight "${weight.name}" is no tensor`);
    const kept = [...fieldsOf(bytes, tensor.content)].filter(({ number }) => number !== 13).map(({ record }) => bytes.slice(record));
    const entry = (key: string, value: string): Buffer => lengthField(13, Buffer.concat([lengthField(1, key), lengthField(2, value)]));
    const entries = [entry('location', this.dataName), entry('offset', `${this.offset}`), entry('length', `${length}`)];
    this.offset = aligned(this.offset + length);
    return lengthField(5, Buffer.concat([...kept, ...entries]));
  }
}

const aligned = (offset: number): number => Math.ceil(offset / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

function declaration(number: number, value: OnnxValue | DeclaredValue): Span | Buffer {
  // As the file has it: tag and all.
  if ('record' in value) return value.record;
  const dims = value.dims.map((dim) =>
    lengthField(1, typeof dim === 'number' ? integerField(1, dim) : dim === null ? '' : lengthField(2, dim)),
  );
  const tensor = Buffer.concat([integerField(1, value.elementType), lengthField(2, Buffer.concat(dims))]);
  return lengthField(number, Buffer.concat([lengthField(1, value.name), lengthField(2, lengthField(1, tensor))]));
}

function writeData(out: Output, located: readonly LocatedData[]): void {
  for (const { path, span } of located) {
    out.skipTo(aligned(out.position));
    FileBytes.with(path, (bytes) => {
      for (const piece of bytes.pieces(span)) out.write(piece);
    });
  }
}

function writeWith(path: string, use: (out: Output) => void): void {
  const file = openSync(path, 'wx');
  try {
    use(new Output(file));
  } finally {
    closeSync(file);
  }
}

class Output {
  position = 0;

  constructor(private readonly file: number) {}

  write(bytes: Uint8Array): void {
    for (let written = 0; written < bytes.byteLength;)
      written += writeSync(this.file, bytes, written, bytes.byteLength - written, this.position + written);
    this.position += bytes.byteLength;
  }

  /** What is left out reads as zeros. */
  skipTo(position: number): void {
    this.position = position;
  }
}
