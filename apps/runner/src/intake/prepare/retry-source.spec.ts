import { newManifest, newBatchId, newFileId, type Manifest } from '@app/batches';
import type { OpenRunner } from '../../open-runner';
import { EchoEngine } from '../../testing/echo-engine';
import { openTestRunner } from '../../testing/open-test-runner';
import { echoRow, echoRows, toJsonl, Workspace, type TestRow } from '../../testing/workspace';
import { RetryImpossible, retrySource } from './retry-source';
import type { RowSource } from './source';

describe('retrySource', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let lane: OpenRunner;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10, chunkConcurrency: 2 });
    engine = new EchoEngine();
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, engine);
  });

  afterEach(async () => {
    await lane.close(0);
    await workspace.close();
  });

  const noSource = (): Promise<RowSource> => Promise.reject(new Error('not asked'));

  function retryOf(original: string): Manifest {
    return newManifest({
      batchId: newBatchId(),
      tenant: 'default',
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
      retryOf: original,
    });
  }

  async function rowsLeft(original: string, sourceOf = noSource): Promise<string[]> {
    const source = await retrySource(workspace, retryOf(original), sourceOf);
    const pieces: Uint8Array[] = [];
    for await (const piece of source(new AbortController().signal)) pieces.push(Uint8Array.from(piece));
    const lines = Buffer.concat(pieces).toString().split('\n').slice(0, -1);
    return lines.map((line) => (JSON.parse(line) as TestRow).custom_id);
  }

  it('gives the rows that failed, in their order', async () => {
    const rows = echoRows(200).map((row, index) => (index % 40 === 7 ? echoRow(index, 'bad') : row));
    const batchId = await workspace.submit(rows);
    await workspace.untilOver(batchId);
    expect(await rowsLeft(batchId)).toEqual([7, 47, 87, 127, 167].map((index) => `row-${index}`));
  });

  it('gives the rows that were cut or never started by a cancel: with those that are answered, each row once', async () => {
    const rows = echoRows(100).map((row, index) => (index === 3 ? echoRow(index, 'bad') : row));
    const release = engine.holdFrom(25);
    const batchId = await workspace.submit(rows);
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    await workspace.batches.requestCancel(batchId);
    const batch = await workspace.untilOver(batchId);
    release();
    const done = (await workspace.readLines(batch.output_file_id)).map(({ custom_id: id }) => id);
    const left = await rowsLeft(batchId);
    expect(left).toContain('row-3');
    expect(left).toContain('row-99');
    expect([...done, ...left].sort()).toEqual(rows.map(({ custom_id: id }) => id).sort());
    const order = rows.map(({ custom_id: id }) => id);
    expect(left).toEqual(order.filter((id) => left.includes(id)));
  });

  it('takes the rows of a batch whose own rows were prepared from what prepared them', async () => {
    const rows = echoRows(60).map((row, index) => (index % 20 === 5 ? echoRow(index, 'bad') : row));
    const batchId = await workspace.submit(rows);
    await workspace.untilOver(batchId);
    const found = await workspace.batches.readForUpdate(batchId);
    if (found === null) throw new Error('no manifest');
    await workspace.batches.update({ ...found.manifest, hasPreparedRows: true }, found.version);
    const text = Buffer.from(toJsonl(rows));
    async function* inPieces() {
      for (let at = 0; at < text.length; at += 37) yield text.subarray(at, at + 37);
    }
    expect(await rowsLeft(batchId, async () => () => inPieces())).toEqual(['row-5', 'row-25', 'row-45']);
  });

  it('refuses where it cannot be told any more what is left', async () => {
    const batchId = await workspace.submit([echoRow(0, 'bad'), echoRow(1)]);
    const { input_file_id: input } = await workspace.untilOver(batchId);
    await workspace.store.delete(`files/${input}/file.json`);
    await expect(rowsLeft(batchId)).rejects.toThrow(batchId);
    await workspace.batches.removeChunks(batchId);
    await expect(rowsLeft(batchId)).rejects.toThrow(`The input or the results of ${batchId}`);
    await expect(rowsLeft(newBatchId())).rejects.toThrow(RetryImpossible);
  });
});
