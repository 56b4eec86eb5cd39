import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import pino from 'pino';
import type { Placement, QuarantinedModel, WorkerPlan } from '@app/contracts';
import { PlacementError, readPlacement, writePlacement } from './placement-file';
import { openPlacement, PlacementReader } from './placement-reader';

const placementOf = (...ids: string[]): Placement => ({
  formatVersion: 1,
  partitions: [],
  workers: ids.map((id) => ({ id }) as WorkerPlan),
});

const UNUSABLE: [string, string, RegExp][] = [
  [
    'another version',
    '{"formatVersion":2,"partitions":[],"workers":[]}',
    /expected formatVersion 1 in placement.json but received 2; start/,
  ],
  ['no version', '{"partitions":[],"workers":[]}', /but received none; start/],
  ['a version of another type', '{"formatVersion":"1","partitions":[],"workers":[]}', /but received "1"/],
  ['null', 'null', /but received none/],
  ['a list', '[]', /but received none/],
  ['no workers', '{"formatVersion":1,"partitions":[]}', /expected lists of partitions and workers/],
  ['no partitions', '{"formatVersion":1,"workers":[]}', /expected lists of partitions and workers/],
  ['half a file', '{"formatVersion":1,"wor', /expected JSON in placement.json/],
  ['nothing', '', /expected JSON/],
];

describe('the placement file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'placement-'));
    path = runPaths(folder).placement;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is read as it was written; null while there is none', () => {
    expect(readPlacement(path)).toBeNull();
    writePlacement(path, placementOf('a'));
    expect(readPlacement(path)).toEqual(placementOf('a'));
  });

  it.each(UNUSABLE)('is refused with the reason: %s', (_what, text, reason) => {
    writeFileSync(path, text);
    expect(() => readPlacement(path)).toThrow(PlacementError);
    expect(() => readPlacement(path)).toThrow(reason);
  });

  describe('PlacementReader', () => {
    let reader: PlacementReader;
    afterEach(() => reader.close());

    const ids = (): string[] => reader.workers().map(({ id }) => id);
    const changed = (): Promise<void> =>
      new Promise((resolve) => {
        const unsubscribe = reader.onChange(() => {
          unsubscribe();
          resolve();
        });
      });

    it('has at once what was there before it', () => {
      writePlacement(path, placementOf('a'));
      reader = new PlacementReader(folder);
      expect([reader.placement, ids(), reader.problem]).toEqual([placementOf('a'), ['a'], null]);
    });

    it('follows every change, and tells it once', async () => {
      reader = new PlacementReader(folder);
      expect([reader.placement, ids(), reader.quarantined('m', '1')]).toEqual([null, [], []]);
      let changes = 0;
      reader.onChange(() => changes++);
      for (const id of ['a', 'b']) {
        const change = changed();
        writePlacement(path, placementOf(id));
        await change;
        expect(ids()).toEqual([id]);
      }
      writePlacement(path, placementOf('b')); // the same
      const change = changed();
      writePlacement(path, placementOf('c'));
      await change;
      expect(changes).toBe(3);
    });

    it('finds a folder that is made later', async () => {
      reader = new PlacementReader(join(folder, 'later'));
      const change = changed();
      mkdirSync(join(folder, 'later'));
      writePlacement(runPaths(join(folder, 'later')).placement, placementOf('a'));
      await change;
      expect(ids()).toEqual(['a']);
    });

    it.each(UNUSABLE)('keeps what it knew and says why: %s', async (_what, text, reason) => {
      writePlacement(path, placementOf('a'));
      reader = new PlacementReader(folder);
      const broken = changed();
      writeFileSync(`${path}.tmp`, text);
      renameSync(`${path}.tmp`, path);
      await broken;
      expect(reader.problem).toMatch(reason);
      expect(ids()).toEqual(['a']);
      const repaired = changed();
      writePlacement(path, placementOf('b'));
      await repaired;
      expect([ids(), reader.problem]).toEqual([['b'], null]);
    });

    it('logs once what cannot be used, as it starts and later', async () => {
      const lines: string[] = [];
      const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
      writeFileSync(path, '{');
      reader = openPlacement(folder, log);
      expect(lines).toHaveLength(1);
      const repaired = changed();
      writePlacement(path, placementOf('a'));
      await repaired;
      const broken = changed();
      writeFileSync(`${path}.tmp`, '{}');
      renameSync(`${path}.tmp`, path);
      await broken;
      expect(lines).toHaveLength(2);
      expect(lines[1]).toContain('the placement cannot be used');
    });

    it('knows the lanes in which a version is quarantined', () => {
      const model = (name: string, lane: 'realtime' | 'batch') => ({ name, version: '1', lane }) as QuarantinedModel;
      writePlacement(path, { ...placementOf(), quarantined: [model('m', 'realtime'), model('m', 'batch'), model('n', 'batch')] });
      reader = new PlacementReader(folder);
      expect(reader.quarantined('m', '1').map(({ lane }) => lane)).toEqual(['realtime', 'batch']);
      expect(reader.quarantined('m', '2')).toEqual([]);
    });

    it('tells of other files in the folder', async () => {
      reader = new PlacementReader(folder);
      const name = new Promise<string>((resolve) => reader.onFile(resolve));
      writeFileSync(join(folder, 'w1.sock'), '');
      expect(await name).toBe('w1.sock');
    });
  });
});
