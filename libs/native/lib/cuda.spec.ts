import type { GpuPlan } from '@app/contracts';
import { cudaOf } from './cuda';

const gpu = (overrides: Partial<GpuPlan>): GpuPlan => ({ sharing: 'whole', uuid: 'GPU-1', name: 'NVIDIA H100', memoryBytes: null, threadPercent: null, ortLibraryPath: null, ...overrides });

describe('CUDA options of a worker', () => {
  it('limit memory only where there is a limit', () => {
    expect(cudaOf(gpu({}), 'realtime').options).not.toHaveProperty('gpu_mem_limit');
    expect(cudaOf(gpu({ memoryBytes: 8 * 2 ** 30 }), 'batch').options).toMatchObject({ device_id: '0', gpu_mem_limit: '8589934592' });
  });

  it('give the real-time lane a stream of high priority where the lanes share a device', () => {
    const streams = (['mig', 'mps', 'whole'] as const).map((sharing) => [cudaOf(gpu({ sharing }), 'realtime').priorityStream, cudaOf(gpu({ sharing }), 'batch').priorityStream]);
    expect(streams).toEqual([[false, false], [true, false], [false, false]]);
  });
});
