import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { FileStore } from '../files/file-store';
import { uploadLimits } from '../files/upload';
import { BatchStore } from '../manifests/batch-store';
import { newBatchId, newFileId } from '../manifests/ids';
import { newManifest, type Manifest } from '../manifests/manifest';
import { removeBatch } from '../manifests/remove-batch';
import { LocalStore } from '../storage/local-store';
import { SEES_ALL } from '../storage/owner';
import { makeDataDir } from '../storage/testing/data-dir';
import { publishOutputs } from './publish-outputs';

const LIMITS = uploadLimits({ chunkRows: 2, rowsMax: 100, rowBytesMax: 100, fileBytesMax: 1000 });
const nobody = async () => false;

describe('publishOutputs', () => {
  const dataDir = makeDataDir();
  const store = new LocalStore(dataDir.path);
  const batches = new BatchStore(store);
  const files = new FileStore(store, LIMITS);
  afterAll(() => dataDir.remove());

  /** A batch with the results of these chunks; null: the chunk has none. */
  async function batchOf(chunks: ({ outputs: string[]; errors: string[] } | null)[]): Promise<Manifest> {
    const manifest = newManifest({
      batchId: newBatchId(),
      tenant: 'a',
      models: null,
      endpoint: '/v1/embeddings',
      inputFileId: newFileId(),
      outputFileId: newFileId(),
      errorFileId: newFileId(),
      metadata: null,
      isDeterministic: false,
      outputExpiresAfterSeconds: null,
      createdAt: 1,
      expiresAt: 2,
    });
    await batches.create(manifest);
    for (const [index, chunk] of chunks.entries()) {
      if (chunk === null) continue;
      const writer = await batches.results(manifest.batch.id).begin(index);
      for (const line of chunk.outputs) await writer.addOutput(line);
      for (const line of chunk.errors) writer.addError(line, 'internal');
      await writer.commit();
    }
    return manifest;
  }

  async function publish(manifest: Manifest, chunkCount: number) {
    const results = await batches.results(manifest.batch.id).recover();
    return publishOutputs(store, { manifest, chunkCount, resultOf: (index) => results.get(index) ?? null, makeTable: null });
  }

  async function read(fileId: string, start: number, end: number): Promise<string> {
    const parts: Buffer[] = [];
    for await (const part of files.openContent(await files.get(fileId, SEES_ALL), { start, end })) parts.push(part);
    return Buffer.concat(parts).toString('latin1');
  }

  it('makes files of the lines of all chunks, in order, whatever range is read', async () => {
    const lines = fc.array(fc.stringMatching(/^[a-zé]{0,9}$/), { maxLength: 4 });
    const chunk = fc.option(fc.record({ outputs: lines, errors: lines }));
    const property = fc.asyncProperty(fc.array(chunk, { maxLength: 6 }), fc.nat(), fc.nat(), async (chunks, first, second) => {
      const manifest = await batchOf(chunks);
      const published = await publish(manifest, chunks.length);
      for (const [record, name] of [[published.output, 'outputs'] as const, [published.errors, 'errors'] as const]) {
        const expected = chunks.flatMap((chunk) => chunk?.[name] ?? []);
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join('')).toString('latin1');
        expect([record?.rows ?? 0, record?.bytes ?? 0]).toEqual([expected.length, bytes.length]);
        if (record === null) continue;
        const [start = 0, end = 0] = [first % (bytes.length + 1), second % (bytes.length + 1)].sort((a, b) => a - b);
        expect(await read(record.id, 0, bytes.length)).toBe(bytes);
        expect(await read(record.id, start, end)).toBe(bytes.slice(start, end));
      }
    });
    await fc.assert(property, { numRuns: 15, seed: 20261129 });
  });

  it('gives the same files when it is done again, and by two at once', async () => {
    const manifest = await batchOf([{ outputs: ['a'], errors: ['b'] }, null]);
    const [first, second] = await Promise.all([publish(manifest, 2), publish(manifest, 2)]);
    const late = await batches.results(manifest.batch.id).begin(1);
    await late.addOutput('late');
    await late.commit();
    for (const again of [second, await publish(manifest, 2)]) expect(again).toEqual(first);
    expect(first.output).toMatchObject({ id: manifest.outputFileId, tenant: 'a', purpose: 'batch_output', rows: 1, bytes: 2 });
  });

  it('keeps the results while one of the two files is there, and removes them with the second', async () => {
    const manifest = await batchOf([{ outputs: ['a'], errors: ['b'] }]);
    const { id } = manifest.batch;
    await publish(manifest, 1);
    await expect(files.delete(manifest.outputFileId, async (batchId) => batchId === id, SEES_ALL)).rejects.toMatchObject({
      code: 'conflict',
    });
    await files.delete(manifest.outputFileId, nobody, SEES_ALL);
    expect(await read(manifest.errorFileId, 0, 2)).toBe('b\n');
    await files.delete(manifest.errorFileId, nobody, SEES_ALL);
    expect(await store.listNames(`batches/${id}/`)).toEqual(['manifest.json']);
  });

  it('leaves no results when both files are deleted at once', async () => {
    for (let times = 0; times < 10; times++) {
      const manifest = await batchOf([{ outputs: ['a'], errors: ['b'] }]);
      await publish(manifest, 1);
      await Promise.all([manifest.outputFileId, manifest.errorFileId].map((id) => files.delete(id, nobody, SEES_ALL)));
      expect(await store.listNames(`batches/${manifest.batch.id}/`)).toEqual(['manifest.json']);
    }
  });

  /** As another node ends it. */
  async function endElsewhere(batchId: string): Promise<void> {
    const found = await batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    found.manifest.batch.status = 'completed';
    await batches.update(found.manifest, found.version);
  }

  it('brings back no file that was deleted once another node had ended the batch', async () => {
    const manifest = await batchOf([{ outputs: ['a'], errors: ['b'] }]);
    const { id } = manifest.batch;
    await publish(manifest, 1);
    await endElsewhere(id);
    for (const fileId of [manifest.outputFileId, manifest.errorFileId]) await files.delete(fileId, nobody, SEES_ALL);
    await expect(publish(manifest, 1)).rejects.toThrow('is over');
    expect(await store.listNames(`batches/${id}/`)).toEqual(['manifest.json']);
    expect(await files.listIds()).not.toContain(manifest.outputFileId);
  });

  it('brings back no file of a batch that is ended elsewhere and deleted while its table is made', async () => {
    const manifest = await batchOf([{ outputs: ['a'], errors: [] }]);
    const results = await batches.results(manifest.batch.id).recover();
    const makeTable = async () => {
      await endElsewhere(manifest.batch.id);
      await removeBatch({ files, batches }, manifest.batch.id);
      return { format: 'csv' as const, bytes: 1 };
    };
    const published = publishOutputs(store, { manifest, chunkCount: 1, resultOf: (index) => results.get(index) ?? null, makeTable });
    await expect(published).rejects.toThrow('is over');
    expect(await files.listIds()).not.toContain(manifest.outputFileId);
  });

  it('leaves no file of a batch that is ended elsewhere and deleted at any moment meanwhile', async () => {
    for (let times = 0; times < 20; times++) {
      const manifest = await batchOf([{ outputs: ['a'], errors: ['b'] }]);
      const publishing = publish(manifest, 1).catch((error: Error) => expect(error.message).toMatch(/is over|was removed/));
      await sleep(times / 4);
      await endElsewhere(manifest.batch.id);
      await removeBatch({ files, batches }, manifest.batch.id);
      await publishing;
      expect(await files.find(manifest.outputFileId)).toBeNull();
      expect(await files.find(manifest.errorFileId)).toBeNull();
    }
  });

  it('has no file where there is no line', async () => {
    const manifest = await batchOf([{ outputs: [], errors: ['b'] }]);
    expect((await publish(manifest, 1)).output).toBeNull();
    expect(await files.find(manifest.outputFileId)).toBeNull();
    await files.delete(manifest.errorFileId, nobody, SEES_ALL);
    expect(await store.listNames(`batches/${manifest.batch.id}/`)).toEqual(['manifest.json']);
  });
});
