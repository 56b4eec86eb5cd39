import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lane, WorkerPlan } from '@app/contracts';
import { ControlPage } from './control-page';
import { ServiceCounts } from './service-buckets';
import { startWorker, type WorkerHandle } from './worker';

describe('a control page', () => {
  let folder: string;
  let worker: WorkerHandle | null = null;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lane-'))));
  afterEach(async () => {
    await worker?.close();
    worker = null;
    rmSync(folder, { recursive: true });
  });

  const pathOf = (lane: Lane): string => join(folder, `${lane}.lane`);
  function start(lane: Lane, other: Lane): WorkerHandle {
    const plan: WorkerPlan = {
      id: `all-${lane}`,
      partitionId: 'all',
      lane,
      cpus: [0, 0],
      socketPath: join(folder, `${lane}.sock`),
      models: [],
      queueItemsMax: 16,
      channelBytes: 4 << 20,
      awakeMs: 0,
      processCpus: [0],
      memoryBytes: null,
      gpu: null,
      gpuRefusal: null,
    };
    return startWorker({ plan, ortLibraryPath: null, controlPages: { own: pathOf(lane), others: [pathOf(other)] } });
  }

  it('exists from the first one on who opens it, for its owner only, and says nothing at first', () => {
    expect(new ControlPage(pathOf('batch')).read()).toEqual({
      running: 0,
      runs: 0,
      floorRuns: 0,
      guardWithdrawn: 0,
      guardWithdrawals: 0,
      guardLimit: 0,
      guardLatest: 0,
    });
    expect(statSync(pathOf('batch')).mode & 0o777).toBe(0o600);
  });

  it('says where it could not be had', () => {
    expect(() => new ControlPage(join(folder, 'missing', 'x.lane'))).toThrow(/missing\/x\.lane/);
  });

  it('names the limit that is none', () => {
    const limits = { isHeldOff: false, withheld: 1, halvings: 1, floorPermille: 20, validMs: 1000 };
    const page = new ControlPage(pathOf('batch'));
    page.limit(limits);
    expect(() => page.limit({ ...limits, withheld: -1 })).toThrow('withheld');
    expect(() => page.limit({ ...limits, halvings: 0.5 })).toThrow('halvings');
    expect(() => page.limit({ ...limits, floorPermille: 1001 })).toThrow('floorPermille');
  });

  it('is opened by workers of both lanes; only live ones count answers', () => {
    worker = start('batch', 'realtime');
    expect(worker.service()).toEqual([]);
    expect(statSync(pathOf('realtime')).size).toBe(4096);
  });
});

describe('counts of answers', () => {
  it('give quantiles within their buckets', () => {
    expect(new ServiceCounts().quantileMs(0.99)).toBeNull();
    // Bucket 96 is 128 to 132 µs, bucket 128 is 256 to 264 µs.
    const counts = ServiceCounts.of([128, 10, 96, 90]);
    expect(counts.total).toBe(100);
    expect(counts.quantileMs(0.45)).toBeCloseTo(0.13, 9);
    expect(counts.quantileMs(0.95)).toBeCloseTo(0.26, 9);
    expect(ServiceCounts.of([5, 1]).quantileMs(1)).toBeCloseTo(0.006, 9);
  });

  it('tell what has been added, and start anew with another process', () => {
    const earlier = ServiceCounts.of([1, 5, 2, 1]);
    expect(ServiceCounts.of([1, 7, 2, 1, 3, 2]).since(earlier).total).toBe(4);
    expect(ServiceCounts.of([1, 4]).since(earlier).total).toBe(4);
  });
});
