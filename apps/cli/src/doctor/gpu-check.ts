import { existsSync } from 'node:fs';
import type { Config } from '@app/config';
import { scanRepository } from '@app/models';
import { inspectRuntime } from '@app/native';
import { readGpus, type GpuDevice, type GpuInventory } from '@app/system';
import { degraded, ok, type Finding } from './report';

const SUBJECT = 'GPU';
const PROVIDER = 'CUDAExecutionProvider';

export interface GpuFacts {
  inventory: GpuInventory;
  /** What asks for a GPU: partitions of interleave.yaml and models, in words. */
  askers: string[];
  /** Partitions with a GPU. */
  partitions: number;
  /** Runtime libraries of GPU workers that lack the CUDA provider, or are unusable. */
  librariesWithoutCuda: string[];
}

export function judgeGpu({ inventory, askers, partitions, librariesWithoutCuda }: GpuFacts): Finding {
  const { devices, problem, driverVersion, mpsRuns } = inventory;
  if (problem !== null) {
    if (askers.length === 0) return ok(SUBJECT, `none, and nothing asks for one (${problem})`);
    return degraded(SUBJECT, `${askers.join(', ')} cannot be served: ${problem}`, 'follow the reason, or write device: cpu in model.yaml');
  }
  const detail = `${devices.map(describe).join('; ')}; driver ${driverVersion ?? 'unknown'}, MPS ${mpsRuns ? 'runs' : 'does not run'}`;
  if (askers.length === 0) return ok(SUBJECT, `${detail}; nothing asks for one`);
  if (partitions === 0)
    return degraded(
      SUBJECT,
      `${detail}; ${askers.join(', ')}: no partition has a GPU`,
      'give a partition gpu: { device: 0 } in interleave.yaml',
    );
  if (librariesWithoutCuda.length === 0) return ok(SUBJECT, detail);
  return degraded(
    SUBJECT,
    `${detail}; no ${PROVIDER} in ${librariesWithoutCuda.join(', ')}`,
    'set gpu.ortLibrary of the partition, or ORT_LIBRARY, to the libonnxruntime.so of a GPU build',
  );
}

function describe({ index, name, migEnabled, instances, computeMode }: GpuDevice): string {
  const mig = migEnabled ? `, MIG with ${instances.length} instances` : '';
  return `${index} ${name}${mig}${computeMode === 'Default' ? '' : `, ${computeMode}`}`;
}

export function checkGpu(config: Pick<Config, 'partitions' | 'modelsDir' | 'searchPath' | 'ortLibraryPath'>): Finding {
  const { partitions, modelsDir, searchPath, ortLibraryPath } = config;
  const models = existsSync(modelsDir) ? scanRepository(modelsDir).filter(({ manifest }) => manifest?.device === 'gpu') : [];
  const withGpu = partitions.filter(({ gpu }) => gpu !== undefined);
  const libraries = new Set(withGpu.map(({ gpu }) => gpu?.ortLibrary ?? ortLibraryPath));
  return judgeGpu({
    inventory: readGpus(searchPath),
    askers: [...withGpu.map(({ id }) => `partition "${id}"`), ...models.map(({ name, version }) => `model ${name} ${version}`)],
    partitions: withGpu.length,
    librariesWithoutCuda: [...libraries].flatMap(withoutCuda),
  });
}

/** The library's path, unless it offers CUDA. Null: the one of onnxruntime-node. */
function withoutCuda(library: string | null): string[] {
  try {
    const { path, providers } = inspectRuntime(library);
    return providers.includes(PROVIDER) ? [] : [path];
  } catch (error) {
    return [`${library ?? 'onnxruntime-node'} (${(error as Error).message})`];
  }
}
