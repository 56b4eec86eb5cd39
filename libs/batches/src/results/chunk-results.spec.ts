import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ChunkResultWriter, readResult, recoverResults } from './chunk-results';
import { makeDataDir } from '../storage/testing/data-dir';

async function textOf(parts: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const part of parts) text += Buffer.from(part).toString('utf8');
  return text;
}

describe('chunk results', () => {
  let dataDir: ReturnType<typeof makeDataDir>;
  beforeEach(() => (dataDir = makeDataDir()));
  afterEach(() => dataDir.remove());

  it('keeps output and error lines apart, in order, and counts them', async () => {
    const writer = await ChunkResultWriter.open(dataDir.path, 7);
    await writer.addOutput('é1');
    writer.addError('e1');
    await writer.addOutput('x'.repeat(300_000));
    writer.addError('e2');
    const result = await writer.commit();
    expect(result).toEqual({ index: 7, completed: 2, failed: 2, outputBytes: 300_005 });
    expect(await textOf(readResult(dataDir.path, result, 'output'))).toBe(`é1\n${'x'.repeat(300_000)}\n`);
    expect(await textOf(readResult(dataDir.path, result, 'error'))).toBe('e1\ne2\n');
  });

  it('has an empty output part when every row failed', async () => {
    const writer = await ChunkResultWriter.open(dataDir.path, 0);
    writer.addError('e');
    expect(await textOf(readResult(dataDir.path, await writer.commit(), 'output'))).toBe('');
  });

  it('recovers the counts of committed chunks and removes half-written ones', async () => {
    const first = await ChunkResultWriter.open(dataDir.path, 3);
    await first.addOutput('a');
    const committed = await first.commit();
    const second = await ChunkResultWriter.open(dataDir.path, 4);
    await second.addOutput('b');
    writeFileSync(join(dataDir.path, '3.0.1.0.result'), 'a second result of the same chunk');
    const results = await recoverResults(dataDir.path);
    expect([...results.keys()]).toEqual([3]);
    expect(readdirSync(dataDir.path)).toHaveLength(1);
    expect([committed.completed, 0]).toContain(results.get(3)?.completed);
    await second.discard();
  });

  it('leaves nothing of a chunk that is discarded', async () => {
    const writer = await ChunkResultWriter.open(dataDir.path, 1);
    await writer.addOutput('a');
    await writer.discard();
    expect(readdirSync(dataDir.path)).toEqual([]);
  });
});
