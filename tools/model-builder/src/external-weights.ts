import { closeSync, openSync, writeSync } from 'node:fs';
import { DATATYPES } from '@app/contracts';
import type { OnnxTensor } from './onnx-schema';
import { Random } from './random';

/** Of a memory page: each weight can be mapped by itself. */
const ALIGNMENT_BYTES = 4096;
const CHUNK_VALUES = 1 << 18;

export interface SeededWeight {
  name: string;
  dims: number[];
  seed: string;
  deviation: number;
}

interface PlacedWeight extends SeededWeight {
  offset: number;
  values: number;
}

/** Float weights in a file beside the graph: they are made while they are written, never all in memory. */
export class ExternalWeights {
  private readonly weights: PlacedWeight[] = [];
  private bytes = 0;

  constructor(private readonly location: string) {}

  /** The tensor as the graph names it. The same name twice is the same weight. */
  add(weight: SeededWeight): OnnxTensor {
    const placed = this.weights.find(({ name }) => name === weight.name) ?? this.place(weight);
    const entries = { location: this.location, offset: placed.offset, length: placed.values * Float32Array.BYTES_PER_ELEMENT };
    return {
      name: weight.name,
      dims: weight.dims,
      dataType: DATATYPES.FP32.onnx,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
      dataLocation: 1,
    };
  }

  write(path: string): void {
    const file = openSync(path, 'w');
    try {
      for (const weight of this.weights) writeWeight(file, weight);
    } finally {
      closeSync(file);
    }
  }

  private place(weight: SeededWeight): PlacedWeight {
    const values = weight.dims.reduce((product, dim) => product * dim, 1);
    const offset = Math.ceil(this.bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    const placed = { ...weight, offset, values };
    this.weights.push(placed);
    this.bytes = offset + values * Float32Array.BYTES_PER_ELEMENT;
    return placed;
  }
}

function writeWeight(file: number, { seed, deviation, offset, values }: PlacedWeight): void {
  const random = new Random(seed);
  for (let at = 0; at < values; at += CHUNK_VALUES) {
    const chunk = new Float32Array(Math.min(CHUNK_VALUES, values - at));
    random.fillUniform(chunk, deviation);
    writeAll(file, new Uint8Array(chunk.buffer), offset + at * Float32Array.BYTES_PER_ELEMENT);
  }
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, position + done);
}
