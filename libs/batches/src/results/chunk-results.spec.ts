import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS } from '@app/contracts';
import { newBatchId } from '../manifests/ids';
import { LocalStore } from '../storage/local-store';
import { makeDataDir } from '../storage/testing/data-dir';
import { ChunkResults } from './chunk-results';

async function textOf(parts: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const part of parts) text += Buffer.from(part).toString('utf8');
  return text;
}

describe('chunk results', () => {
  const batchId = newBatchId();
  let dataDir: ReturnType<typeof makeDataDir>;
  let store: LocalStore;
  let results: ChunkResults;
  beforeEach(() => {
    dataDir = makeDataDir();
    store = new LocalStore(dataDir.path);
    results = new ChunkResults(store, batchId);
  });
  afterEach(() => dataDir.remove());

  const staged = () => readdirSync(join(dataDir.path, 'tmp'));

  it('keeps output and error lines apart, in order, and counts them', async () => {
    const writer = await results.begin(7);
    await writer.addOutput('é1');
    writer.addError('e1', 'inference_failed');
    await writer.addOutput('x'.repeat(300_000));
    writer.addError('e2', 'invalid_request');
    expect(writer.rowCount).toBe(4);
    const { result, isFirst } = await writer.commit();
    expect(isFirst).toBe(true);
    const failures = { inference_failed: 1, invalid_request: 1 };
    expect(result).toEqual({ index: 7, completed: 2, failed: 2, outputBytes: 300_005, errorBytes: 6, failures });
    expect(await results.find(7)).toEqual(result);
    expect(await textOf(results.read(result, 'output'))).toBe(`é1\n${'x'.repeat(300_000)}\n`);
    expect(await textOf(results.read(result, 'error'))).toBe('e1\ne2\n');
    expect(await textOf(results.read(result, 'error', { start: 1, end: 5 }))).toBe('1\ne2');
  });

  it('has an empty output part when every row failed', async () => {
    const writer = await results.begin(0);
    writer.addError('e', 'internal');
    expect(await textOf(results.read((await writer.commit()).result, 'output'))).toBe('');
  });

  it('keeps the first of the results of a chunk, and tells the others of it', async () => {
    const writers = await Promise.all(['a', 'bb', 'ccc'].map(async (line) => [await results.begin(3), line] as const));
    for (const [writer, line] of writers) await writer.addOutput(line);
    const commits = await Promise.all(writers.map(([writer]) => writer.commit()));
    const first = commits.filter(({ isFirst }) => isFirst);
    expect(first).toHaveLength(1);
    for (const { result } of commits) expect(result).toEqual(first[0]?.result);
    expect(await textOf(results.read(commits[0]?.result as never, 'output'))).toHaveLength(first[0]?.result.outputBytes ?? -1);
    expect(staged()).toEqual([]);
  });

  it('recovers what is committed and nothing else', async () => {
    for (const index of [3, 11]) {
      const writer = await results.begin(index);
      await writer.addOutput('a');
      await writer.commit();
    }
    const open = await results.begin(4);
    await open.addOutput('b');
    expect([...(await results.recover()).keys()].sort()).toEqual([11, 3]);
    await open.discard();
  });

  it('takes over what a former release committed, once', async () => {
    await store.put(`batches/${batchId}/chunks/5.1.2.4.result`, Buffer.from('one\ne1\ne2\n'));
    for (let times = 0; times < 2; times++) {
      const result = (await results.recover()).get(5);
      if (result === undefined) throw new Error('not recovered');
      expect(result).toEqual({ index: 5, completed: 1, failed: 2, outputBytes: 4, errorBytes: 6, failures: {} });
      expect(await textOf(results.read(result, 'output'))).toBe('one\n');
      expect(await textOf(results.read(result, 'error'))).toBe('e1\ne2\n');
    }
    expect(await store.listNames(`batches/${batchId}/chunks/`)).toEqual(['5']);
  });

  it('reads the results of the release before, which did not count by code', async () => {
    const trailer = Buffer.alloc(32);
    trailer.writeUInt32LE(1, 0);
    trailer.writeUInt32LE(2, 4);
    trailer.writeBigUInt64LE(4n, 8);
    trailer.writeBigUInt64LE(6n, 16);
    trailer.write('ILCHUNK1', 24);
    await store.put(`batches/${batchId}/chunks/5`, Buffer.concat([Buffer.from('one\ne1\ne2\n'), trailer]));
    expect(await results.find(5)).toEqual({ index: 5, completed: 1, failed: 2, outputBytes: 4, errorBytes: 6, failures: {} });
  });

  it('holds a count of every code that there is', async () => {
    const codes = [...Object.values(ERRORS).map(({ batchCode }) => batchCode), 'batch_expired'] as const;
    const writer = await results.begin(0);
    for (let times = 0; times < 1000; times++) for (const code of codes) writer.addError('e', code);
    const { result } = await writer.commit();
    expect(await results.find(0)).toEqual(result);
    expect(result.failures['batch_expired']).toBe(1000);
    expect(Object.values(result.failures).reduce((sum = 0, rows = 0) => sum + rows, 0)).toBe(result.failed);
  });

  it.each([
    ['cut', '{"a":1'],
    ['longer than what is there', 'x'],
  ])('has a chunk done again whose failures are %s', async (_what, json) => {
    const trailer = Buffer.alloc(40);
    trailer.writeUInt32LE(json === 'x' ? 99 : json.length, 24);
    trailer.write('ILCHUNK2', 32);
    await store.put(`batches/${batchId}/chunks/5`, Buffer.concat([Buffer.from(json), trailer]));
    expect(await results.find(5)).toBeNull();
  });

  it('does not guess at a result of a later release', async () => {
    await store.put(`batches/${batchId}/chunks/5`, Buffer.from(`${'x'.repeat(24)}ILCHUNK3`));
    await expect(results.find(5)).rejects.toThrow('no trailer that this release knows');
    expect(await store.head(`batches/${batchId}/chunks/5`)).not.toBeNull();
  });

  it.each(['', '{"a":1}\n', 'x'.repeat(500)])('has a chunk done again whose result was overwritten with %j', async (text) => {
    await store.put(`batches/${batchId}/chunks/5`, Buffer.from(text));
    expect(await results.find(5)).toBeNull();
    const writer = await results.begin(5);
    await writer.addOutput('a');
    expect(await writer.commit()).toMatchObject({ isFirst: true, result: { completed: 1 } });
  });

  it('leaves nothing of a chunk that is discarded', async () => {
    const writer = await results.begin(1);
    await writer.addOutput('a');
    await writer.discard();
    expect(staged()).toEqual([]);
    expect(await results.find(1)).toBeNull();
  });
});
