import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from './index';

describe('access.tenants and batch.retention', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-tenants-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  function load(yaml: string) {
    const path = join(dir, 'interleave.yaml');
    writeFileSync(path, yaml);
    return loadConfig({ CONFIG: path });
  }

  it('sets no limit and removes no batch by itself', () => {
    const { access, batch } = load('');
    expect([access.tenants, batch.retention]).toEqual([{}, { filesDays: 30 }]);
  });

  it('takes quotas by tenant', () => {
    const { tenants } = load('access: { tenants: { acme: { quota: { fileBytes: 1000, rows: 5 } }, b: {} } }').access;
    expect(tenants).toEqual({ acme: { quota: { fileBytes: 1000, rows: 5 } }, b: { quota: {} } });
  });

  it.each([
    'access: { tenants: { "a b": {} } }',
    'access: { tenants: { a: { quota: { files: 1 } } } }',
    'access: { tenants: { a: { quota: { rows: 0 } } } }',
    'batch: { retention: { batchesDays: 0 } }',
  ])('refuses %s', (yaml) => {
    expect(() => load(yaml)).toThrow(ConfigError);
  });
});
