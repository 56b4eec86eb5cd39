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

  it('have a GPU by number or UUID', () => {
    expect(partitionsOf('{ id: a, cpus: [1], gpu: { device: 0 } }')[0]?.gpu).toEqual({ device: 0, batchPercent: 50 });
    const uuid = 'GPU-4a1c7d0e-52b8-9f36-8d11-0c6e5b7f2a90';
    const gpu = partitionsOf(
      `{ id: a, cpus: [1], gpu: { device: ${uuid}, instances: [3, 0], memory: 20GiB, batchPercent: 30, ortLibrary: /opt/ort.so } }`,
    )[0]?.gpu;
    expect(gpu).toEqual({ device: uuid, instances: [3, 0], memory: 20 * 2 ** 30, batchPercent: 30, ortLibrary: '/opt/ort.so' });
  });

  it.each([
    ['{ id: a, cpus: [] }', /partitions\.0\.cpus: /],
    ['{ id: a, cpus: "0-" }', /partitions\.0\.cpus: expected a list as in "0-3,8"/],
    ['{ id: a, cpus: 2 }', /partitions\.0\.cpus: expected a list as in "0-3,8"/],
    ['{ id: a, cpus: [99999] }', /partitions\.0\.cpus\.0: .*8191/],
    ['{ id: a, cpus: [1], memory: 4 }', /partitions\.0\.memory: /],
    ['{ id: a, cpus: [1], memory: 4GB }', /partitions\.0\.memory: expected a whole number of MiB or GiB, as in "4GiB"/],
    ['{ id: a, cpus: [1], lanes: [] }', /partitions\.0\.lanes: /],
    ['{ id: a, cpus: [1], models: [] }', /partitions\.0\.models: /],
    ['{ id: a, cpus: [1], gpu: 0 }', /partitions\.0\.gpu: /],
    ['{ id: a, cpus: [1], gpu: {} }', /partitions\.0\.gpu\.device: /],
    ['{ id: a, cpus: [1], gpu: { device: first } }', /partitions\.0\.gpu\.device: expected a number or a UUID/],
    ['{ id: a, cpus: [1], gpu: { device: 0, instances: [0, 1, 2] } }', /partitions\.0\.gpu\.instances: /],
    ['{ id: a, cpus: [1], gpu: { device: 0, batchPercent: 0 } }', /partitions\.0\.gpu\.batchPercent: /],
    ['{ id: a, cpus: [1], gpu: { device: 0, ortLibrary: lib.so } }', /partitions\.0\.gpu\.ortLibrary: expected an absolute path/],
  ])('refuses %s and names the key', (yaml, message) => {
    expect(() => partitionsOf(yaml)).toThrow(ConfigError);
    expect(() => partitionsOf(yaml)).toThrow(message);
  });
});
