import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '.';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'config-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const partitionsOf = (yaml: string) => {
  const path = join(dir, 'interleave.yaml');
  writeFileSync(path, `partitions:\n  - ${yaml}\n`);
  return loadConfig({ CONFIG: path, DATA_DIR: '/tmp/d' }).partitions;
};

describe('partitions of interleave.yaml', () => {
  it('have CPUs as numbers or as a list, memory in bytes, and a class', () => {
    expect(partitionsOf('{ id: a, cpus: "0-3,8" }')).toEqual([{ id: 'a', cpus: '0-3,8', class: 'burstable', batchBesideReserved: false }]);
    const [partition] = partitionsOf('{ id: a, cpus: [2, 1], class: reserved, memory: 4GiB, lanes: [realtime], models: [x] }');
    expect(partition).toMatchObject({ cpus: [2, 1], class: 'reserved', memory: 4 * 2 ** 30, lanes: ['realtime'], models: ['x'] });
    expect(partitionsOf('{ id: a, cpus: [1], memory: 512MiB }')[0]?.memory).toBe(512 * 2 ** 20);
  });

  it.each([
    ['{ id: a, cpus: [] }', /partitions\.0\.cpus: /],
    ['{ id: a, cpus: "0-" }', /partitions\.0\.cpus: expected a list as in "0-3,8"/],
    ['{ id: a, cpus: [99999] }', /partitions\.0\.cpus\.0: .*8191/],
    ['{ id: a, cpus: [1], memory: 4 }', /partitions\.0\.memory: /],
    ['{ id: a, cpus: [1], memory: 4GB }', /partitions\.0\.memory: expected a whole number of MiB or GiB, as in "4GiB"/],
    ['{ id: a, cpus: [1], lanes: [] }', /partitions\.0\.lanes: /],
    ['{ id: a, cpus: [1], models: [] }', /partitions\.0\.models: /],
    ['{ id: a, cpus: [1], gpu: 0 }', /gpu/],
  ])('refuses %s and names the key', (yaml, message) => {
    expect(() => partitionsOf(yaml)).toThrow(ConfigError);
    expect(() => partitionsOf(yaml)).toThrow(message);
  });
});
