import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '.';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'config-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const batchOf = (yaml: string) => {
  const path = join(dir, 'interleave.yaml');
  writeFileSync(path, `batch: ${yaml}\n`);
  return loadConfig({ CONFIG: path, DATA_DIR: '/tmp/d' }).batch;
};

describe('shares of the batch lane', () => {
  it('are 2 % each unless they are set', () => {
    expect(batchOf('{}')).toMatchObject({ floorShare: 0.02, holdOffShare: 0.02 });
    expect(batchOf('{ floorShare: 0.5, holdOffShare: 0 }')).toMatchObject({ floorShare: 0.5, holdOffShare: 0 });
  });

  it.each(['{ floorShare: 0 }', '{ floorShare: 1.1 }', '{ holdOffShare: -0.1 }', '{ holdOffShare: 0.6 }'])(
    'refuse %s: the lane is never starved for ever',
    (yaml) => {
      expect(() => batchOf(yaml)).toThrow(ConfigError);
    },
  );
});
