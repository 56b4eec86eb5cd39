import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { CpuModel } from '@app/system';

/**
 * All that a cost table depends on. Version and precision of a model are in its content. Axes, pad values and limits of
 * `model.yaml` do not change what a run costs.
 */
export interface CostKey {
  /** SHA-256 of the model file. Weights in files beside it change no cost. */
  modelSha256: string;
  /** "cpu", or the GPU and what a worker has of it. */
  provider: string;
  intraOpThreads: number;
  cpu: CpuModel;
  runtimeVersion: string;
}

/** Name of the files of a key. */
export function costKeyId(key: CostKey): string {
  const { modelSha256, provider, intraOpThreads, cpu, runtimeVersion } = key;
  const parts = [modelSha256, provider, intraOpThreads, cpu.name, cpu.features, runtimeVersion];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/** Reads the file in pieces. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
