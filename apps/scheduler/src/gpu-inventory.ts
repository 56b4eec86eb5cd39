import type { GpuInventory } from '@app/system';
import { KeptFact } from './kept-facts';
import type { PidFiles } from './supervision/pid-files';

/**
 * The GPUs to plan with: `found`, but while processes of an earlier scheduler run those that it found, where it found any. NVIDIA's tools
 * may be slow or fail while a GPU is busy, and workers that have theirs would be replaced.
 */
export function gpusToPlan(found: GpuInventory, runDir: string, pidFiles: Pick<PidFiles, 'anyRuns'>): GpuInventory {
  const fact = new KeptFact<GpuInventory>(runDir, 'gpus', ({ devices }) => Array.isArray(devices));
  const kept = pidFiles.anyRuns() ? fact.read() : null;
  if (kept !== null && kept.problem === null) return kept;
  fact.write(found);
  return found;
}
