import type { GpuPlan } from '@app/contracts';
import { gpuEnvironment } from './gpu-environment';

const gpu = (sharing: GpuPlan['sharing'], threadPercent: number | null = null): GpuPlan => ({
  sharing,
  uuid: 'GPU-1',
  name: 'NVIDIA H100',
  memoryBytes: null,
  threadPercent,
  ortLibraryPath: null,
});

describe('environment of a worker with a GPU', () => {
  it('names its one device or instance', () => {
    expect(gpuEnvironment(null, 'realtime')).toEqual({});
    expect(gpuEnvironment(gpu('whole'), 'realtime')).toEqual({ CUDA_VISIBLE_DEVICES: 'GPU-1' });
    expect(gpuEnvironment({ ...gpu('mig'), uuid: 'MIG-2' }, 'batch')).toEqual({ CUDA_VISIBLE_DEVICES: 'MIG-2' });
  });

  it('has the share and the priority under MPS', () => {
    expect(gpuEnvironment(gpu('mps'), 'realtime')).toEqual({
      CUDA_VISIBLE_DEVICES: 'GPU-1',
      CUDA_MPS_ACTIVE_THREAD_PERCENTAGE: '100',
      CUDA_MPS_CLIENT_PRIORITY: '0',
    });
    expect(gpuEnvironment(gpu('mps', 30), 'batch')).toEqual({
      CUDA_VISIBLE_DEVICES: 'GPU-1',
      CUDA_MPS_ACTIVE_THREAD_PERCENTAGE: '30',
      CUDA_MPS_CLIENT_PRIORITY: '1',
    });
  });
});
