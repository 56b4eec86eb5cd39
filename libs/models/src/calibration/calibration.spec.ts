import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Axis, CostGrid, ModelSignature } from '@app/contracts';
import { calibrate, type CalibrationRun } from './calibrate';
import { costKeyId, sha256OfFile, type CostKey } from './cost-key';
import { CostStore } from './cost-store';
import { MeasuredCells } from './measured-cells';
import { planCells, type Cell } from './plan';

const signatureWith = (...axes: Axis[]): ModelSignature => ({
  inputs: [{ name: 'x', datatype: 'INT64', shape: axes.map(() => -1), axes }],
  outputs: [],
  coalesce: 'padded',
  coalesceReason: null,
});
const KEY: CostKey = { modelSha256: 'a', provider: 'cpu', intraOpThreads: 1, cpu: { name: 'c', features: ['f'] }, runtimeVersion: '1' };

describe('plan of the cells', () => {
  it('begins coarse, reaches the longest row and holds each cell once', () => {
    const phases = planCells(signatureWith('batch', 'sequence0'), 2000);
    const cells = phases.flat();
    expect(phases).toHaveLength(3);
    expect(cells[0]).toEqual({ rows: 1, length: 1 });
    expect(phases[0]).toContainEqual({ rows: 1, length: 2000 });
    expect(Math.max(...cells.map(({ length }) => length))).toBe(2000);
    expect(new Set(cells.map(({ rows, length }) => `${rows} ${length}`)).size).toBe(cells.length);
    expect(cells.filter(({ rows, length }) => rows > 1 && rows * length > 4096)).toEqual([]);
  });

  it.each([
    ['no sequence axis', signatureWith('batch', 'fixed'), [1], 32],
    ['no batch axis', signatureWith('fixed', 'fixed'), [1], 1],
  ])('keeps to what a model with %s has', (_title, signature, lengths, rowsMax) => {
    const cells = planCells(signature, null).flat();
    expect([...new Set(cells.map(({ length }) => length))]).toEqual(lengths);
    expect(Math.max(...cells.map(({ rows }) => rows))).toBe(rowsMax);
  });

  it('gives each of two sequence axes a token', () => {
    expect(planCells(signatureWith('batch', 'sequence0', 'sequence1'), null)[0]?.[0]).toEqual({ rows: 1, length: 2 });
  });
});

describe('key of a table', () => {
  it('changes with everything that costs depend on', () => {
    const others: Partial<CostKey>[] = [
      { modelSha256: 'b' },
      { intraOpThreads: 2 },
      { cpu: { name: 'd', features: ['f'] } },
      { cpu: { name: 'c', features: [] } },
      { runtimeVersion: '2' },
    ];
    const ids = [KEY, ...others.map((other) => ({ ...KEY, ...other }))].map(costKeyId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(costKeyId({ ...KEY })).toBe(ids[0]);
  });
});

describe('calibrate', () => {
  let dir: string;
  let store: CostStore;
  let tables: CostGrid[];
  const id = 'a1';
  /** 1 ms a run and 0.1 ms a token. */
  const cost = ({ rows, length }: Cell): Promise<number> => Promise.resolve(1e6 + 1e5 * rows * length);
  const run = (overrides: Partial<CalibrationRun> = {}): CalibrationRun => ({
    store,
    id,
    key: KEY,
    known: null,
    model: 'm',
    phases: planCells(signatureWith('batch', 'sequence0'), 64),
    measure: cost,
    budgetMs: 1e9,
    limits: { singleRowMsMax: Infinity, severalRowsMsMax: Infinity },
    signal: new AbortController().signal,
    onCell: () => undefined,
    onTable: (grid) => tables.push(grid),
    ...overrides,
  });

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'calibrate-'));
    store = new CostStore(dir);
    tables = [];
  });

  afterEach(() => rmSync(dir, { recursive: true }));

  it('measures every cell, stores the table and leaves nothing else', async () => {
    expect(await calibrate(run())).toEqual({ state: 'measured' });
    const file = store.read(id);
    expect(file).toMatchObject({ model: 'm', finished: true, grid: tables.at(-1) });
    expect(file?.grid.lengths).toEqual([1, 8, 16, 24, 32, 48, 64]);
    expect(file?.grid.runNs[2]?.[1]).toBe(1e6 + 1e5 * 2 * 16);
    expect(file?.grid.runNs.flat().every((ns) => ns > 0)).toBe(true);
    expect(tables).toHaveLength(3);
    expect(tables[0]?.lengths).toEqual([1, 16, 64]);
    expect(readdirSync(join(dir, 'calibration'))).toEqual([`${id}.json`]);
  });

  it('stops at its budget with a table that can be used', async () => {
    expect(await calibrate(run({ budgetMs: 50 }))).toEqual({ state: 'measured' });
    expect(tables.at(-1)?.lengths).toContain(1);
    expect(tables.at(-1)?.lengths).not.toContain(48);
  });

  it('leaves out what no lane would run', async () => {
    await calibrate(run({ limits: { singleRowMsMax: 5, severalRowsMsMax: 4 } }));
    const grid = tables.at(-1);
    expect(grid?.lengths).not.toContain(64);
    expect(grid?.rows).toContain(16);
    expect(grid?.runNs.flat().filter((ns) => ns > 5e6)).toEqual([]);
  });

  it('takes the longest row that works for the longest there is', async () => {
    const measure = (cell: Cell): Promise<number> => (cell.length > 30 ? Promise.reject(new Error('out of bounds')) : cost(cell));
    expect(await calibrate(run({ measure }))).toEqual({ state: 'measured' });
    expect(tables.at(-1)?.lengths).toEqual([1, 8, 16, 24]);
  });

  it('says why nothing could be measured, and does not store it', async () => {
    const outcome = await calibrate(run({ measure: () => Promise.reject(new Error('division by zero')) }));
    expect(outcome).toEqual({ state: 'skipped', reason: 'division by zero' });
    expect(readdirSync(join(dir, 'calibration'))).toEqual([]);
  });

  it('goes on from where it was interrupted', async () => {
    const stop = new AbortController();
    let runs = 0;
    const measure = (cell: Cell): Promise<number> => {
      if (++runs === 60) stop.abort();
      return cost(cell);
    };
    expect(await calibrate(run({ measure, signal: stop.signal }))).toEqual({ state: 'aborted' });
    expect(store.marker(id)).toBeNull();
    const half = store.read(id);
    expect(half?.finished).toBe(false);
    const measured: Cell[] = [];
    await calibrate(run({ known: half?.grid ?? null, onCell: (cell) => measured.push(cell) }));
    const known = MeasuredCells.of(half?.grid ?? null);
    expect(measured.filter((cell) => known.has(cell))).toEqual([]);
    expect(store.read(id)?.finished).toBe(true);
  });

  it('never replaces a finished table by an unfinished one', async () => {
    await calibrate(run());
    const before = store.read(id);
    await calibrate(run({ signal: AbortSignal.abort() }));
    expect(store.read(id)).toEqual(before);
  });

  it('tries once more after a process died of it, and then no more until it is told to', async () => {
    store.writeMarker(id, { starts: 1, cell: '4 × 64' });
    const seen: unknown[] = [];
    await calibrate(run({ onCell: () => seen.push(store.marker(id)) }));
    expect(seen[0]).toEqual({ starts: 2, cell: '1 × 1' });
    store.writeMarker(id, { starts: 2, cell: '4 × 64' });
    const measure = jest.fn(cost);
    const outcome = await calibrate(run({ measure }));
    expect(outcome).toEqual({ state: 'skipped', reason: expect.stringMatching(/died 2 times.*4 × 64.*interleave calibrate m/) });
    expect(measure).not.toHaveBeenCalled();
    store.removeMarker(id);
    expect(await calibrate(run())).toEqual({ state: 'measured' });
  });

  it('counts a damaged file as none', () => {
    store.writeMarker(id, { starts: 1, cell: null });
    writeFileSync(join(dir, 'calibration', `${id}.json`), '{"formatVersion":1,"gri');
    writeFileSync(join(dir, 'calibration', `${id}.measuring`), '{}');
    expect(store.read(id)).toBeNull();
    expect(store.marker(id)).toBeNull();
  });

  it('gives the lock to one at a time', async () => {
    const lock = await store.lock(id);
    expect(lock).not.toBeNull();
    expect(await store.lock(id)).toBeNull();
    lock?.close();
    const again = await store.lock(id);
    expect(again).not.toBeNull();
    again?.close();
  });

  it('hashes a file', async () => {
    writeFileSync(join(dir, 'model.onnx'), 'abc');
    expect(await sha256OfFile(join(dir, 'model.onnx'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
