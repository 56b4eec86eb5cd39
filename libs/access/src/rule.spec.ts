import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { KeyFileError, keyFilePath } from './key-file';
import { addKey, removeKey } from './new-key';
import { AccessError, asksWho, checkAccess } from './rule';

describe('who is asked for a key', () => {
  it.each([
    [{}, false, false],
    [{ HOST: 'localhost' }, false, false],
    [{ HOST: '::1' }, false, false],
    [{ HOST: '127.8.8.8' }, false, false],
    [{}, true, true],
    [{ HOST: '0.0.0.0' }, false, true],
    [{ HOST: '::' }, false, true],
    [{ HOST: '10.0.0.1' }, false, true],
    [{ HOST: '127.0.0.1.example.com' }, false, true],
    [{ HOST: '0.0.0.0', PUBLISHED_HOST: '127.0.0.1' }, false, false],
    [{ HOST: '0.0.0.0', PUBLISHED_HOST: '0.0.0.0' }, false, true],
    [{ ACCESS: 'required' }, false, true],
    [{ ACCESS: 'open', HOST: '0.0.0.0' }, true, false],
  ])('%j, with a key file: %s, asks: %s', (environment, hasKeyFile, asks) => {
    expect(asksWho(loadConfig(environment), hasKeyFile)).toBe(asks);
  });
});

describe('a start', () => {
  let dataDir: string;
  beforeEach(() => (dataDir = mkdtempSync(join(tmpdir(), 'il-rule-'))));
  afterEach(() => rmSync(dataDir, { recursive: true }));
  const check = (environment: Record<string, string>) => checkAccess(loadConfig({ DATA_DIR: dataDir, ...environment }));
  const add = (expiresAt: number | null) =>
    addKey(keyFilePath(dataDir), {
      ...{ name: null, tenant: 'a', models: null, shareMsPerSecond: null, weight: 1, isOperator: true },
      lanes: ['batch'],
      expiresAt,
    });

  it('needs no key on loopback, and one where other machines reach the node', async () => {
    check({});
    expect(() => check({ HOST: '0.0.0.0' })).toThrow(AccessError);
    expect(() => check({ HOST: '0.0.0.0' })).toThrow(/HOST 0\.0\.0\.0 .*keys add --tenant default --operator.*ACCESS=open/);
    check({ HOST: '0.0.0.0', ACCESS: 'open' });
    await add(null);
    check({ HOST: '0.0.0.0' });
  });

  it('is refused where the last key was revoked or all are over, also on loopback', async () => {
    const { record } = await add(null);
    await removeKey(keyFilePath(dataDir), record.id);
    expect(() => check({})).toThrow(/Callers are asked for keys: expected a key/);
    await add(1);
    expect(() => check({})).toThrow(AccessError);
  });

  it('is refused with a damaged key file, unless everybody is let in anyway', () => {
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(keyFilePath(dataDir), '{');
    expect(() => check({})).toThrow(KeyFileError);
    check({ ACCESS: 'open' });
  });
});
