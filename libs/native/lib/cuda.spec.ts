import type { GpuPlan } from '@app/contracts';
import { cudaOf } from './cuda';

const gpu = (overrides: Partial<GpuPlan>): GpuPlan => ({
  sharing: 'whole',
  uuid: 'GPU-1',
  name: 'NVIDIA H100',
  memoryBytes: null,
  threadPercent: null,
  ortLibraryPath: null,
  ...overrides,
});

describe('CUDA options of a worker', () => {
  it('limit memory only where there is a limit', () => {
    expect(cudaOf(gpu({}), 'realtime', 1).options).not.toHaveProperty('gpu_mem_limit');
    expect(cudaOf(gpu({ memoryBytes: 8 * 2 ** 30 }), 'batch', 1).options).toMatchObject({ device_id: '0', gpu_mem_limit: '8589934592' });
    expect(cudaOf(gpu({ memoryBytes: 9 * 2 ** 30 }), 'batch', 3).options).toMatchObject({ gpu_mem_limit: String(3 * 2 ** 30) });
  });

  it('give the real-time lane a stream of high priority where the lanes share a device', () => {
    const streams = (['mig', 'mps', 'whole'] as const).map((sharing) => [
      cudaOf(gpu({ sharing }), 'realtime', 1).priorityStream,
      cudaOf(gpu({ sharing }), 'batch', 1).priorityStream,
    ]);
    expect(streams).toEqual([
      [false, false],
      [true, false],
      [false, false],
    ]);
  });
});
