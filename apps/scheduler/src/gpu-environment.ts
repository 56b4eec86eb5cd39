import type { GpuPlan, Lane } from '@app/contracts';

/** Priority of an MPS client: kernels of below-normal priority give way to those of normal priority (MPS guide, client priority). */
const CLIENT_PRIORITY: Record<Lane, string> = { realtime: '0', batch: '1' };

/**
 * What the CUDA driver reads when a worker starts: its one device or MIG instance, and under MPS its share. Where the
 * daemon's pipes are (CUDA_MPS_PIPE_DIRECTORY) is inherited from the scheduler. Pure.
 */
export function gpuEnvironment(gpu: GpuPlan | null, lane: Lane): Record<string, string> {
  if (gpu === null) return {};
  const { uuid, sharing, threadPercent } = gpu;
  if (sharing !== 'mps') return { CUDA_VISIBLE_DEVICES: uuid };
  return {
    CUDA_VISIBLE_DEVICES: uuid,
    CUDA_MPS_ACTIVE_THREAD_PERCENTAGE: String(threadPercent ?? 100),
    CUDA_MPS_CLIENT_PRIORITY: CLIENT_PRIORITY[lane],
  };
}
