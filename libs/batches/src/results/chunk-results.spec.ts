import { readdirSync } from 'node:fs';
import { join } from 'node:path';
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
    writer.addError('e1');
    await writer.addOutput('x'.repeat(300_000));
    writer.addError('e2');
    const { result, isFirst } = await writer.commit();
    expect(isFirst).toBe(true);
    expect(result).toEqual({ index: 7, completed: 2, failed: 2, outputBytes: 300_005, errorBytes: 6 });
    expect(await results.find(7)).toEqual(result);
    expect(await textOf(results.read(result, 'output'))).toBe(`é1\n${'x'.repeat(300_000)}\n`);
    expect(await textOf(results.read(result, 'error'))).toBe('e1\ne2\n');
    expect(await textOf(results.read(result, 'error', { start: 1, end: 5 }))).toBe('1\ne2');
  });

  it('has an empty output part when every row failed', async () => {
    const writer = await results.begin(0);
    writer.addError('e');
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
      expect(result).toEqual({ index: 5, completed: 1, failed: 2, outputBytes: 4, errorBytes: 6 });
      expect(await textOf(results.read(result, 'output'))).toBe('one\n');
      expect(await textOf(results.read(result, 'error'))).toBe('e1\ne2\n');
    }
    expect(await store.listNames(`batches/${batchId}/chunks/`)).toEqual(['5']);
  });

  it('does not guess at a result of a later release', async () => {
    await store.put(`batches/${batchId}/chunks/5`, Buffer.from(`${'x'.repeat(24)}ILCHUNK2`));
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
