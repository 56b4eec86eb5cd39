import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '.';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'config-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const repositoryOf = (yaml: string) => {
  const path = join(dir, 'interleave.yaml');
  writeFileSync(path, `repository: ${yaml}\n`);
  return loadConfig({ CONFIG: path, DATA_DIR: '/tmp/d' }).repository;
};

describe('how models change while the node serves', () => {
  it('is by following the folder, without a limit on memory, unless it is set', () => {
    expect(repositoryOf('{}')).toEqual({ mode: 'watch', load: [], pollMs: 1000, loadWaitMs: 10_000 });
    expect(repositoryOf('{ mode: explicit, load: [m], memoryMax: 8GiB, loadWaitMs: 0 }')).toMatchObject({
      mode: 'explicit',
      load: ['m'],
      memoryMax: 8 * 2 ** 30,
      loadWaitMs: 0,
    });
  });

  it.each(['{ mode: poll }', '{ load: [m] }', '{ pollMs: 99 }', '{ memoryMax: 8 }', '{ loadWaitMs: -1 }', '{ watch: true }'])(
    'refuses %s',
    (yaml) => {
      expect(() => repositoryOf(yaml)).toThrow(ConfigError);
    },
  );
});
