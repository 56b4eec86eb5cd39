import { bfloat16ToNumber, float16ToNumber } from '@app/contracts';
import { z } from 'zod';
import { checkFile, ModelFileError, readBounded, unusable } from '../model-files';

const HEADER_LENGTH_BYTES = 8;

export interface Weights {
  shape: number[];
  /** Row-major. */
  values: Float32Array;
}

const tensorSchema = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()).max(8),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
});
type TensorHeader = z.infer<typeof tensorSchema>;

const READERS: Record<string, { bytes: number; read: (view: DataView, at: number) => number }> = {
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F16: { bytes: 2, read: (view, at) => float16ToNumber(view.getUint16(at, true)) },
  BF16: { bytes: 2, read: (view, at) => bfloat16ToNumber(view.getUint16(at, true)) },
};

/**
 * The tensors of a safetensors file (https://github.com/huggingface/safetensors#format): the length of a JSON header in
 * 8 bytes, the header, then the data. Throws a `ModelFileError` for one that is larger than `bytesMax` or not sound.
 */
export function readSafetensors(path: string, bytesMax: number): Map<string, Weights> {
  const file = readBounded(path, bytesMax);
  const fail = (reason: string): ModelFileError => new ModelFileError(`${path}: ${reason}`);
  const headerBytes = file.length < HEADER_LENGTH_BYTES ? Infinity : Number(file.readBigUInt64LE(0));
  const data = file.subarray(HEADER_LENGTH_BYTES + Math.min(headerBytes, file.length));
  if (HEADER_LENGTH_BYTES + headerBytes > file.length) throw unusable(path, new Error(`expected a header within its ${file.length} bytes`));
  const header = checkFile(
    path,
    z.record(z.string(), z.unknown()),
    parse(file.subarray(HEADER_LENGTH_BYTES, HEADER_LENGTH_BYTES + headerBytes), fail),
  );
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return new Map(tensors.map(([name, value]) => [name, readTensor(name, checkFile(path, tensorSchema, value), data, fail)]));
}

function parse(header: Buffer, fail: (reason: string) => ModelFileError): unknown {
  try {
    return JSON.parse(header.toString('utf8')) as unknown;
  } catch (error) {
    throw fail(`header: ${(error as Error).message}`);
  }
}

function readTensor(
  name: string,
  { dtype, shape, data_offsets: [start, end] }: TensorHeader,
  data: Buffer,
  fail: (reason: string) => ModelFileError,
): Weights {
  const reader = READERS[dtype];
  if (reader === undefined) throw fail(`expected F32, F16 or BF16 for "${name}" but found ${dtype}`);
  const count = shape.reduce((product, size) => product * size, 1);
  if (end > data.length || end - start !== count * reader.bytes)
    throw fail(`"${name}" [${shape.join(', ')}] does not fit its ${end - start} bytes of data`);
  const view = new DataView(data.buffer, data.byteOffset + start, end - start);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = reader.read(view, i * reader.bytes);
  return { shape, values };
}
