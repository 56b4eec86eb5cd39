import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import type { OpenRunner } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { openTestRunner } from './testing/open-test-runner';
import { echoRows, Workspace } from './testing/workspace';

const ROWS = 300;

/** Two runners on one Redis and one store; a batch does not care which of them owns it and which does its chunks. */
describe('a fleet of two nodes', () => {
  let workspace: Workspace;
  let engines: EchoEngine[];
  let registries: Registry[];
  let lanes: OpenRunner[];

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10, chunkConcurrency: 2 });
    await workspace.redis.start();
    engines = [new EchoEngine(), new EchoEngine()];
    registries = [new Registry(), new Registry()];
    lanes = await Promise.all([0, 1].map((node) => openLane(node)));
  });

  afterEach(async () => {
    await Promise.all(lanes.map((lane) => lane.close(0)));
    await workspace.close();
  });

  function openLane(node: number): Promise<OpenRunner> {
    const registry = (registries[node] = new Registry());
    return openTestRunner(workspace.config, engines[node] as EchoEngine, { nodeId: `${workspace.directory}-${node}`, registry });
  }

  function holdFrom(row: number): () => void {
    const releases = engines.map((engine) => engine.holdFrom(row));
    return () => releases.forEach((release) => release());
  }

  const ownerOf = (batchId: string): number => lanes.findIndex((lane) => lane.status().batches.some(({ id }) => id === batchId));
  const rowsDone = (node: number): number => [...(engines[node]?.seen.values() ?? [])].reduce((sum, times) => sum + times, 0);

  async function untilOwned(batchId: string): Promise<number> {
    while (ownerOf(batchId) === -1) await sleep(10);
    return ownerOf(batchId);
  }

  async function expectEveryRowOnce(batchId: string): Promise<void> {
    const batch = await workspace.untilOver(batchId);
    const lines = await workspace.readLines(batch.output_file_id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: ROWS, completed: ROWS, failed: 0 } });
    expect(lines.map(({ custom_id: id, response }) => [id, response?.body.echo])).toEqual(
      echoRows(ROWS).map(({ custom_id: id, body }) => [id, (body as { input: string }).input]),
    );
  }

  it('shares the chunks of a batch, and does each once', async () => {
    const batchId = await workspace.submit(echoRows(ROWS));
    await expectEveryRowOnce(batchId);
    expect([rowsDone(0) > 0, rowsDone(1) > 0, rowsDone(0) + rowsDone(1)]).toEqual([true, true, ROWS]);
    expect(await workspace.batches.listOpenIds()).toEqual([]);
  });

  it('hands a batch over when its owner is closed, and goes on with what is done', async () => {
    const release = holdFrom(100);
    const batchId = await workspace.submit(echoRows(ROWS));
    const owner = await untilOwned(batchId);
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 50);
    await (lanes[owner] as OpenRunner).close(0);
    release();
    await expectEveryRowOnce(batchId);
    expect(rowsDone(1 - owner)).toBeGreaterThan(0);
    lanes[owner] = await openLane(owner);
  });

  it('leaves chunks to the node that has the model, and fails none of their rows', async () => {
    const release = holdFrom(100);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 50);
    const [first] = engines as [EchoEngine, EchoEngine];
    first.hasModel = false;
    release();
    await expectEveryRowOnce(batchId);
  });

  it('answers all rows of a batch by the files that it began with, wherever they are', async () => {
    const release = holdFrom(100);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 50);
    expect(lanes.map((lane) => lane.status().pinnedRevisions)).toEqual([[1], [1]]);
    const [first] = engines as [EchoEngine, EchoEngine];
    const before = first.digest;
    first.digest = 'b'.repeat(64);
    release();
    await expectEveryRowOnce(batchId);
    expect([...first.pins, ...(engines[1]?.pins ?? [])].every((digest) => digest === before)).toBe(true);
  });

  it('waits where no node has the files any more, says so, and goes on when they are back', async () => {
    const release = holdFrom(100);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 50);
    for (const engine of engines) engine.digest = 'b'.repeat(64);
    release();
    await workspace.until(batchId, ({ interleave }) => interleave.paused?.includes('other files') === true);
    for (const engine of engines) engine.digest = 'a'.repeat(64);
    await expectEveryRowOnce(batchId);
  });

  it('stops the chunks of other nodes when a batch is cancelled, and publishes what they have', async () => {
    const release = holdFrom(25);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 20);
    await workspace.until(batchId, () => lanes.every((lane) => lane.status().chunks.running > 0));
    await workspace.batches.requestCancel(batchId);
    const batch = await workspace.untilOver(batchId);
    release();
    const outputs = await workspace.readLines(batch.output_file_id);
    const errors = await workspace.readLines(batch.error_file_id);
    const lines = outputs.length + errors.length;
    expect([batch.status, lines + (batch.interleave.not_run ?? 0)]).toEqual(['cancelled', ROWS]);
    expect(new Set([...outputs, ...errors].map(({ custom_id: id }) => id)).size).toBe(lines);
    expect(outputs.length).toBeGreaterThanOrEqual(20);
  });

  it('completes when Redis forgets everything, although two nodes may then take the batch for theirs', async () => {
    const release = holdFrom(150);
    const batchId = await workspace.submit(echoRows(ROWS));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 100);
    await workspace.redis.flush();
    release();
    await expectEveryRowOnce(batchId);
    const text = (await Promise.all(registries.map((registry) => registry.metrics()))).join('\n');
    const committed = [...text.matchAll(/^interleave_batch_rows_total\{outcome="completed"\} (\d+)/gm)].reduce(
      (sum, [, rows]) => sum + Number(rows),
      0,
    );
    expect(committed).toBe(ROWS);
  });
});
