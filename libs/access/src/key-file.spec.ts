import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyFileError, keyFilePath, readKeyFile } from './key-file';
import { addKey, removeKey } from './new-key';
import { digestOf } from './secret';
import { GRANT } from '../../../test/fixtures/key-grant';

describe('the key file', () => {
  let dir: string;
  let path: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'il-keys-'));
    path = keyFilePath(join(dir, 'data'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('keeps the hash of a key and never the key, for its owner alone', async () => {
    const { secret, record } = await addKey(path, GRANT);
    expect(secret).toMatch(/^ilk_[\w-]{43}$/);
    expect(readKeyFile(path)).toEqual([record]);
    expect(record).toMatchObject({ ...GRANT, sha256: digestOf(secret), prefix: secret.slice(0, 10) });
    expect(readFileSync(path, 'utf8')).not.toContain(secret.slice(0, 20));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('holds all keys of a tenant to the share and weight that were said last', async () => {
    const { shareMsPerSecond: _share, weight: _weight, ...plain } = GRANT;
    const { keys: first } = await addKey(path, { ...plain, tenant: 'acme', shareMsPerSecond: 500 });
    await addKey(path, { ...plain, tenant: 'other', shareMsPerSecond: 7 });
    const { keys: second, record } = await addKey(path, { ...plain, tenant: 'acme' });
    expect([first, second]).toEqual([1, 2]);
    expect(record).toMatchObject({ shareMsPerSecond: 500, weight: 1 });
    await addKey(path, { ...plain, tenant: 'acme', weight: 3 });
    const { record: last } = await addKey(path, { ...plain, tenant: 'acme', shareMsPerSecond: null });
    await removeKey(path, last.id);
    const shares = readKeyFile(path)?.map(({ tenant, shareMsPerSecond, weight }) => [tenant, shareMsPerSecond, weight]);
    expect(shares).toEqual([
      ['acme', null, 3],
      ['other', 7, 1],
      ['acme', null, 3],
      ['acme', null, 3],
    ]);
  });

  it('reconciles keys of one tenant that a file has with different shares', async () => {
    const [a, b] = [(await addKey(path, GRANT)).record, (await addKey(path, GRANT)).record];
    const keys = [
      { ...a, shareMsPerSecond: 100, weight: 2 },
      { ...b, shareMsPerSecond: 900, weight: 5 },
    ];
    writeFileSync(path, JSON.stringify({ formatVersion: 1, keys }));
    expect(readKeyFile(path)?.map(({ shareMsPerSecond, weight }) => [shareMsPerSecond, weight])).toEqual([
      [900, 5],
      [900, 5],
    ]);
  });

  it('stays private when a killed command left a file that is not', async () => {
    await addKey(path, GRANT);
    const left = `${path}.${process.pid}.tmp`;
    writeFileSync(left, 'x');
    chmodSync(left, 0o644);
    await addKey(path, GRANT);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(existsSync(left)).toBe(false);
  });

  it('loses no change of commands that run at once', async () => {
    const made = await Promise.all(Array.from({ length: 12 }, () => addKey(path, GRANT)));
    await Promise.all(made.slice(0, 6).map(({ record }) => removeKey(path, record.id)));
    const left = made.slice(6).map(({ record }) => record.id);
    expect(readKeyFile(path)?.map(({ id }) => id)).toEqual(expect.arrayContaining(left));
    expect(readKeyFile(path)).toHaveLength(6);
    expect(readdirSync(join(dir, 'data'))).toEqual(['keys.json']);
  });

  it('says so where its folder cannot be made', async () => {
    writeFileSync(join(dir, 'data'), '');
    await expect(addKey(path, GRANT)).rejects.toThrow(KeyFileError);
  });

  it('is there without keys once the last one is revoked', async () => {
    expect(readKeyFile(path)).toBeNull();
    const { record } = await addKey(path, GRANT);
    expect((await removeKey(path, record.id))?.id).toBe(record.id);
    expect(await removeKey(path, record.id)).toBeNull();
    expect(readKeyFile(path)).toEqual([]);
  });

  it.each([
    ['nothing', '', /expected JSON/],
    ['half of it', '{"formatVersion":1,"keys":[{"id":"key_', /expected JSON/],
    ['null', 'null', /expected formatVersion 1 but received none/],
    ['a later format', '{"formatVersion":2,"keys":[]}', /expected formatVersion 1 but received 2; use the version/],
    ['no list', '{"formatVersion":1}', /keys: /],
    ['a key without a hash', '{"formatVersion":1,"keys":[{"id":"key_000000000000"}]}', /keys\.0\./],
    ['an unknown field', '{"formatVersion":1,"keys":[],"more":1}', /more/],
  ])('is refused as a whole, and not overwritten, with %s in it', async (_title, text, message) => {
    await addKey(path, GRANT);
    writeFileSync(path, text);
    expect(() => readKeyFile(path)).toThrow(KeyFileError);
    expect(() => readKeyFile(path)).toThrow(message);
    await expect(addKey(path, GRANT)).rejects.toThrow(KeyFileError);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });
});
