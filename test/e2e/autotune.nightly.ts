import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buildModels } from '../../tools/model-builder/src/models';

const MODEL = 'encoder-tiny';
const MINUTES_5 = 5 * 60_000;

describe('interleave autotune', () => {
  const root = mkdtempSync(join(tmpdir(), 'autotune-'));
  const models = join(root, 'models');
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  function interleave(...args: string[]): { status: number | null; out: string; errors: string } {
    const env = { ...process.env, DATA_DIR: join(root, 'data'), MODELS_DIR: models };
    const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('bin/interleave.js'), ...args], { env, encoding: 'utf8' });
    return { status, out: stdout, errors: stderr };
  }

  it(
    'measures the layouts that are predicted to be the best, stages of a split among them, and writes what it chose',
    () => {
      buildModels(models, [MODEL]);
      expect(interleave('split', MODEL, '--stages', '2')).toMatchObject({ status: 0 });
      const { status, out, errors } = interleave('autotune', MODEL, '--budget', '90s', '--write');
      expect(`${status} ${status === 0 ? '' : errors}`).toBe('0 ');
      const [, stages, replicas, rows] = /^(2) +(1) +1 +\d+ +\d+ +(\d+) +\d\.\d\d /m.exec(out) ?? [];
      expect([stages, replicas, Number(rows) > 0]).toEqual(['2', '1', true]);
      expect(out).toMatch(/^1 +1 +2 /m);
      expect(out).toMatch(/\d of the \d+ layouts that fit \d+ CPUs? were measured/);
      expect(out).toMatch(/^(written to .*model\.yaml|nothing is written)/m);
    },
    MINUTES_5,
  );
});
