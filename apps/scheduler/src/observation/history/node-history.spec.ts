import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HISTORY_SERIES, type HistoryPoint } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { LineFile } from './line-file';
import { HISTORY_FILE_BYTES_MAX, LONG_STEP_MS, NodeHistoryStore } from './node-history';

const STEP_MS = 2_000;
const DAY_MS = 24 * 3_600_000;
const log = createLogger('test', 'fatal');

describe('the history of a node', () => {
  let dir: string;
  const path = () => join(dir, 'history.jsonl');
  const open = (nowMs: number) => new NodeHistoryStore(new LineFile(path(), HISTORY_FILE_BYTES_MAX, log), STEP_MS, nowMs);
  const point = (atMs: number, value: number | null): HistoryPoint => ({ atMs, values: HISTORY_SERIES.map(() => value) });

  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-history-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  it('has 15 minutes at the step of the samples', () => {
    const history = open(0);
    for (let atMs = 0; atMs < 3_600_000; atMs += STEP_MS) history.add(point(atMs, 1));
    const { points, stepMs } = history.recent();
    expect([points.length, stepMs, points.at(-1)?.atMs]).toEqual([450, STEP_MS, 3_598_000]);
  });

  it('has means in the long run, and the worst where the worst counts', () => {
    const history = open(0);
    for (let step = 0; step < 15; step++) history.add(point(step * STEP_MS, step === 3 ? null : step));
    const [merged] = history.last(1, 30_000).points;
    const of = (series: (typeof HISTORY_SERIES)[number]) => merged?.values[HISTORY_SERIES.indexOf(series)];
    expect([of('liveRequestsPerSecond'), of('liveP99Ms')]).toEqual([7.286, 14]);
  });

  it('outlives its process, for a day and no longer, within its limit', () => {
    const history = open(0);
    const values = HISTORY_SERIES.map((_, index) => 12_345.6 * index);
    for (let atMs = 0; atMs < 1.5 * DAY_MS; atMs += LONG_STEP_MS - STEP_MS) {
      history.add({ atMs, values });
      history.add({ atMs: atMs + LONG_STEP_MS - STEP_MS - 1, values });
    }
    const later = open(1.5 * DAY_MS);
    const { points, stepMs } = later.last(24, 1.5 * DAY_MS);
    expect(stepMs).toBe(LONG_STEP_MS);
    expect(points.length).toBeGreaterThan(100);
    expect(points.every(({ atMs }) => atMs > 0.5 * DAY_MS)).toBe(true);
    expect(later.last(1, 1.5 * DAY_MS).points.length).toBeLessThan(points.length / 5);
    expect(statSync(path()).size).toBeLessThanOrEqual(HISTORY_FILE_BYTES_MAX);
    expect(later.recent().points.length).toBeGreaterThan(0);
  });

  it('takes nothing from a file that is no point', () => {
    const file = new LineFile(path(), HISTORY_FILE_BYTES_MAX, log);
    for (const strange of [
      { atMs: 'now', values: [] },
      { atMs: 5, values: [1] },
      [1],
      point(5, 1),
      { ...point(6, 1), values: HISTORY_SERIES.map(() => 'x') },
    ])
      file.append(strange);
    expect(open(10).last(1, 10).points).toEqual([point(5, 1)]);
  });
});
