import type { GpuPlan, Lane } from '@app/contracts';
import type { NativeCuda } from './addon';

/**
 * How a worker's models run on its GPU (ONNX Runtime's documentation of the CUDA provider has the options). The first visible
 * device is the only one: CUDA_VISIBLE_DEVICES names it. Algorithms of convolutions are chosen by rule, since trying them out
 * for each new shape would take place in live requests. Each model's session has an arena of its own, so each gets its part of
 * the worker's memory (maintainers in microsoft/onnxruntime#11156).
 */
export function cudaOf({ sharing, memoryBytes }: GpuPlan, lane: Lane, gpuModels: number): NativeCuda {
  return {
    options: {
      device_id: '0',
      arena_extend_strategy: 'kSameAsRequested',
      cudnn_conv_algo_search: 'HEURISTIC',
      ...(memoryBytes === null ? {} : { gpu_mem_limit: String(Math.floor(memoryBytes / Math.max(1, gpuModels))) }),
    },
    priorityStream: lane === 'realtime' && sharing === 'mps',
  };
}
