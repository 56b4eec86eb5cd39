import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gpuFactsOf, GPU_MACHINES, gpusOf } from '../../../test/fixtures/gpu-machines';
import { gpuInventoryOf, readGpus } from './gpus';

const MIB = 1024 * 1024;

describe('GPUs of a machine', () => {
  it('are read from the query: one H100, without MIG and MPS', () => {
    expect(gpusOf('one-h100')).toEqual({
      devices: [
        {
          index: 0,
          uuid: 'GPU-4a1c7d0e-52b8-9f36-8d11-0c6e5b7f2a90',
          name: 'NVIDIA H100 80GB HBM3',
          memoryBytes: 81559 * MIB,
          computeMode: 'Default',
          migEnabled: false,
          instances: [],
        },
      ],
      driverVersion: '550.127.05',
      problem: null,
      mpsRuns: false,
    });
  });

  it('have MIG instances where MIG is on', () => {
    const { devices, mpsRuns } = gpusOf('eight-gpus-one-mig');
    expect(mpsRuns).toBe(false);
    expect(devices.map(({ index, instances }) => [index, instances.length])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
      [4, 0],
      [5, 0],
      [6, 0],
      [7, 7],
    ]);
    expect(devices[7]?.instances[6]).toEqual({ profile: '1g.10gb', uuid: 'MIG-10000006-9a8b-5c7d-8e6f-5a4b3c2d1e06' });
  });

  it('have seven MIG instances on the recorded A100', () => {
    const { devices, driverVersion } = gpusOf('a100-in-seven-slices');
    expect(driverVersion).toBe('535.216.01');
    expect(devices).toHaveLength(1);
    expect(devices[0]).toMatchObject({ uuid: 'GPU-7fdaf0a5-179b-f636-d15d-daf243e3ff16', memoryBytes: 81920 * MIB, migEnabled: true });
    expect(devices[0]?.instances).toHaveLength(7);
    expect(devices[0]?.instances[6]).toEqual({ profile: '1g.10gb', uuid: 'MIG-1aae4990-b962-574e-8375-119d6d9b9687' });
  });

  it('can be shared where the daemon of MPS answers, also before its first client', () => {
    expect(gpusOf('mps-running')).toMatchObject({ mpsRuns: true, devices: [{ computeMode: 'Exclusive_Process' }] });
    const silent = { ...gpuFactsOf('mps-running'), mpsControl: { status: 0, stdout: '', stderr: '' } };
    expect(gpuInventoryOf(silent).mpsRuns).toBe(true);
  });

  it('may not tell memory or MIG', () => {
    const { devices } = gpusOf('no-mig-support');
    expect(devices.map(({ memoryBytes, migEnabled }) => [memoryBytes, migEnabled])).toEqual([
      [11264 * MIB, false],
      [null, false],
    ]);
  });

  it.each([
    ['no-tool', /^nvidia-smi was not found, .*install the driver$/],
    [
      'driver-broken',
      /^nvidia-smi failed \(exit code 9\): NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.*; repair the driver$/,
    ],
    ['library-mismatch', /Driver\/library version mismatch NVML library version: 550\.127; repair/],
  ] as const)('are none, with the reason: %s', (machine, problem) => {
    expect(gpusOf(machine)).toEqual({
      devices: [],
      driverVersion: null,
      problem: expect.stringMatching(problem) as string,
      mpsRuns: false,
    });
  });

  it.each([
    ['', /lists no device/],
    ['0, GPU-1, only three\n', /was not understood: expected index, uuid, .* but received "0, GPU-1, only three"/],
    ['index, uuid, name, memory.total, compute_mode, mig.mode.current, driver_version\n', /was not understood/],
  ])('are none where the answer is %j', (stdout, problem) => {
    expect(gpuInventoryOf({ query: { status: 0, stdout, stderr: '' }, list: null, mpsControl: null }).problem).toMatch(problem);
  });

  it('are those that answer, where one fell off the bus or the infoROM of one is corrupted', () => {
    const { query, list } = gpuFactsOf('one-h100');
    const lost = 'Unable to determine the device handle for GPU 0000:41:00.0: Unknown Error\n';
    const warned = gpuInventoryOf({ query: { status: 14, stdout: `${lost}${query?.stdout}`, stderr: '' }, list, mpsControl: null });
    expect(warned).toEqual(gpusOf('one-h100'));
  });

  it('are none where the tool does not end', () => {
    expect(gpuInventoryOf({ query: { status: null, stdout: '', stderr: '' }, list: null, mpsControl: null }).problem).toMatch(
      /failed \(no answer in 10 s\): no output/,
    );
  });

  it('every machine of the fixtures has either devices or a problem', () => {
    for (const machine of GPU_MACHINES) {
      const { devices, problem } = gpusOf(machine);
      expect([machine, devices.length > 0]).toEqual([machine, problem === null]);
    }
  });
});

describe('asking the tools', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'gpus-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('says so when there is none', () => {
    expect(readGpus(dir).problem).toMatch(/nvidia-smi was not found/);
  });

  it('takes the failure of a program that was found', () => {
    writeFileSync(join(dir, 'nvidia-smi'), '#!/bin/sh\necho "No devices were found"\nexit 6\n');
    chmodSync(join(dir, 'nvidia-smi'), 0o755);
    expect(readGpus(dir).problem).toBe('nvidia-smi failed (exit code 6): No devices were found; repair the driver');
  });
});
