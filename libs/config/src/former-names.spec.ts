import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig, withPresentNames } from '.';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'config-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const load = (yaml: string) => {
  const path = join(dir, 'interleave.yaml');
  writeFileSync(path, yaml);
  return loadConfig({ CONFIG: path, DATA_DIR: '/tmp/d' });
};

describe('former names of settings', () => {
  it('work in both lanes, with a warning that says what to write', () => {
    const { realtime, batch, warnings } = load('realtime: { batchRowsMax: 7 }\nbatch: { batchTokensMax: 99, runRowsMax: 5 }\n');
    expect([realtime.runRowsMax, batch.runTokensMax, batch.runRowsMax]).toEqual([7, 99, 5]);
    expect(warnings).toEqual([
      expect.stringMatching(/interleave\.yaml: realtime\.batchRowsMax is now called realtime\.runRowsMax; the former name works until/),
      expect.stringMatching(/interleave\.yaml: batch\.batchTokensMax is now called batch\.runTokensMax; /),
    ]);
  });

  it('are refused beside the present ones, which may differ', () => {
    expect(() => load('batch: { batchRowsMax: 7, runRowsMax: 7 }\n')).toThrow(ConfigError);
  });

  it('are held to the same limits', () => {
    expect(() => load('batch: { batchRowsMax: 0 }\n')).toThrow(/batch\.runRowsMax/);
  });

  it.each(['constructor', 'toString', '__proto__'])('are not what JavaScript finds in every object: %s', (key) => {
    expect(() => load(`batch: { ${key}: 5 }\n`)).toThrow(`"${key}"`);
  });

  it('leave everything else as it is', () => {
    for (const settings of [null, 'x', [1], { runRowsMax: 1 }, {}]) expect(withPresentNames(settings)).toEqual({ settings, warnings: [] });
    expect(load('').warnings).toEqual([]);
  });
});
