import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError } from '../cli-error';
import { moveAll } from './split-model';

describe('moveAll', () => {
  it('moves all folders or none', () => {
    const root = mkdtempSync(join(tmpdir(), 'il-move-'));
    try {
      const [aside, out] = [join(root, 'aside'), join(root, 'out')];
      for (const name of ['a', 'b']) mkdirSync(join(aside, name), { recursive: true });
      mkdirSync(join(out, 'b'), { recursive: true });
      writeFileSync(join(out, 'b', 'file'), '');
      expect(() => moveAll(['a', 'b'], aside, out)).toThrow(CliError);
      expect([existsSync(join(out, 'a')), existsSync(join(aside, 'a'))]).toEqual([false, true]);
      rmSync(join(out, 'b'), { recursive: true });
      moveAll(['a', 'b'], aside, out);
      expect([existsSync(join(out, 'a')), existsSync(join(out, 'b'))]).toEqual([true, true]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
