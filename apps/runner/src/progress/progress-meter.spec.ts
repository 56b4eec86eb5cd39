import { ChunkLedger } from '../chunks/chunk-ledger';
import { ProgressMeter, type Reading } from './progress-meter';

const CHUNK_ROWS = 500;

const committed = (index: number, rows = CHUNK_ROWS, failures: Record<string, number> = {}) => {
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  return { index, completed: rows - failed, failed, outputBytes: 1, errorBytes: 1, failures };
};

/** Numbers from 0 to 1, always the same ones for a seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
}

/** A lane in virtual time: `slots` chunks run side by side, each row takes what `rowMs` says of it. */
class Lane {
  nowMs = 0;
  readonly ledger: ChunkLedger;
  private readonly running = new Map<number, number>();

  constructor(
    private readonly chunkCount: number,
    private readonly slots: number,
    private readonly rowMs: (nowMs: number) => number,
  ) {
    this.ledger = new ChunkLedger('batch_1', chunkCount);
    this.ledger.open();
  }

  get total(): number {
    return this.chunkCount * CHUNK_ROWS;
  }

  get isOver(): boolean {
    return this.ledger.isComplete;
  }

  get doneShare(): number {
    return this.ledger.count('committed') / this.chunkCount;
  }

  /** One second. */
  step(meter: ProgressMeter): void {
    this.nowMs += 1000;
    while (this.running.size < this.slots) {
      const chunk = this.ledger.take((index) => `job ${index}`);
      if (chunk === null) break;
      this.ledger.note(chunk.index, chunk.jobId, 'running');
      this.running.set(chunk.index, 0);
    }
    const rows = 1000 / this.rowMs(this.nowMs) / Math.max(1, this.running.size);
    for (const [index, before] of this.running) {
      const now = before + rows;
      this.running.set(index, now);
      meter.noteRows(index, Math.min(CHUNK_ROWS, Math.floor(now)));
      if (now < CHUNK_ROWS) continue;
      this.running.delete(index);
      this.ledger.commit(committed(index));
    }
  }
}

describe('ProgressMeter', () => {
  const reading = (changes: Partial<Reading> = {}): Reading => ({
    ledger: new ChunkLedger('b', 4),
    total: 2000,
    share: 1,
    nowMs: 0,
    ...changes,
  });

  it('knows neither pace nor time before anything was done, and counts failures by code', () => {
    const ledger = new ChunkLedger('b', 4);
    ledger.commit(committed(0, 500, { internal: 2 }));
    ledger.commit(committed(1, 500, { internal: 1, invalid_request: 4 }));
    expect(new ProgressMeter().read(reading({ ledger }))).toEqual({
      rows_per_second: null,
      seconds_left: null,
      failures: { internal: 3, invalid_request: 4 },
    });
  });

  it.each([
    [100, 8],
    [300, 8],
  ])('predicts the end of %d chunks, %d at once, within 20 %% after the first tenth', (chunkCount, slots) => {
    const seed = Date.now() % 1e6;
    const random = seeded(seed);
    const lane = new Lane(chunkCount, slots, () => 2 * (0.7 + 0.6 * random()));
    const meter = new ProgressMeter();
    const predicted: { atMs: number; seconds: number }[] = [];
    while (!lane.isOver) {
      lane.step(meter);
      const { seconds_left: left } = meter.read({ ledger: lane.ledger, total: lane.total, share: 1, nowMs: lane.nowMs });
      if (lane.doneShare >= 0.1 && lane.doneShare < 0.5 && left !== null) predicted.push({ atMs: lane.nowMs, seconds: left.expected });
    }
    expect(predicted.length).toBeGreaterThan(0);
    const wrongest = Math.max(...predicted.map(({ atMs, seconds }) => Math.abs(seconds / ((lane.nowMs - atMs) / 1000) - 1)));
    expect({ seed, isNear: wrongest < 0.2 }).toEqual({ seed, isNear: true });
  });

  it('has the whole lane at best', () => {
    const meter = new ProgressMeter();
    const lane = new Lane(100, 8, () => 2);
    for (let second = 0; second < 30; second++) {
      lane.step(meter);
      meter.read({ ledger: lane.ledger, total: lane.total, share: 0.25, nowMs: lane.nowMs });
    }
    const { seconds_left: left } = meter.read({ ledger: lane.ledger, total: lane.total, share: 0.25, nowMs: lane.nowMs });
    if (left === null) throw new Error('expected a prediction');
    expect(left.low).toBeLessThan(left.expected * 0.25);
    expect(left.high).toBeGreaterThan(left.expected);
  });

  it('takes back the rows of a chunk that was put back', () => {
    const ledger = new ChunkLedger('b', 2);
    const meter = new ProgressMeter();
    ledger.adopt(0, 'job', 'running');
    meter.read(reading({ ledger, total: 1000 }));
    meter.noteRows(0, 400);
    expect(meter.read(reading({ ledger, total: 1000, nowMs: 4000 }))).toMatchObject({
      rows_per_second: 100,
      seconds_left: { expected: 6 },
    });
    ledger.note(0, 'job', 'returned');
    expect(meter.read(reading({ ledger, total: 1000, nowMs: 8000 }))).toMatchObject({ rows_per_second: null });
  });
});

describe('the time without progress', () => {
  it('begins with the last row, of a chunk that runs as well, and not while the batch is paused', () => {
    const meter = new ProgressMeter();
    const ledger = new ChunkLedger('batch_1', 2);
    ledger.open();
    const read = (nowMs: number) => meter.read({ ledger, total: 2 * CHUNK_ROWS, share: 1, nowMs });
    expect(meter.idleMs(5_000)).toBe(0);
    read(10_000);
    read(70_000);
    expect(meter.idleMs(70_000)).toBe(60_000);
    const { index, jobId } = ledger.take(() => 'job') ?? { index: -1, jobId: '' };
    ledger.note(index, jobId, 'running');
    meter.noteRows(index, 3);
    read(80_000);
    expect(meter.idleMs(81_000)).toBe(1_000);
    ledger.commit(committed(index));
    read(90_000);
    expect(meter.idleMs(90_000)).toBe(0);
    meter.pause();
    expect(meter.idleMs(900_000)).toBe(0);
    read(900_000);
    expect(meter.idleMs(901_000)).toBe(1_000);
  });
});
