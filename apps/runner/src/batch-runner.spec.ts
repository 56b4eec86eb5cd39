import { setTimeout as sleep } from 'node:timers/promises';
import { LocalStore, newBatchId, readInstanceId, SEES_ALL } from '@app/batches';
import { BatchQueues } from '@app/queues';
import type { OpenRunner } from './open-runner';
import { EchoEngine } from './testing/echo-engine';
import { openTestRunner } from './testing/open-test-runner';
import { echoRow, echoRows, toJsonl, Workspace, type OutputLine } from './testing/workspace';

const idsOf = (lines: OutputLine[]): string[] => lines.map(({ custom_id: id }) => id);

describe('the batch lane with a real Redis', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let lane: OpenRunner;
  let freeBytes: number;
  let queues: BatchQueues | null = null;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10, chunkConcurrency: 2 });
    engine = new EchoEngine();
    freeBytes = Number.MAX_SAFE_INTEGER;
    await workspace.redis.start();
    const store = new LocalStore(workspace.directory, { measure: async () => freeBytes });
    lane = await openTestRunner(workspace.config, engine, { store });
  });

  afterEach(async () => {
    await queues?.close();
    queues = null;
    await lane.close(0);
    await workspace.close();
  });

  it('answers every row once and in input order', async () => {
    const batchId = await workspace.submit(echoRows(257));
    const batch = await workspace.untilOver(batchId);
    const lines = await workspace.readLines(batch.output_file_id);
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'echo',
      error_file_id: null,
      request_counts: { total: 257, completed: 257, failed: 0 },
    });
    expect(idsOf(lines)).toEqual(echoRows(257).map(({ custom_id: id }) => id));
    expect(lines[5]).toEqual({
      id: `batch_req_${batchId.slice(6)}_5`,
      custom_id: 'row-5',
      response: { status_code: 200, request_id: `req_${batchId.slice(6)}_5`, body: { echo: 'text 5' } },
      error: null,
    });
    expect([...engine.seen.values()].every((times) => times === 1)).toBe(true);
  });

  it('says how fast it goes and how much is left, also within a chunk', async () => {
    const release = engine.holdFrom(15);
    const batchId = await workspace.submit(echoRows(40));
    const batch = await workspace.until(batchId, ({ interleave }) => (interleave?.progress?.seconds_left ?? null) !== null);
    release();
    // The first chunk and a half are done; the rest of the other chunks that run is held.
    expect(batch.request_counts.completed).toBeLessThanOrEqual(10);
    expect(batch.interleave?.progress?.rows_per_second).toBeGreaterThan(0);
    const { low = 0, expected = 0, high = 0 } = batch.interleave?.progress?.seconds_left ?? {};
    expect(low).toBeLessThan(expected);
    expect(expected).toBeLessThan(high);
    const over = await workspace.untilOver(batchId);
    expect(over.interleave?.progress).toEqual({ rows_per_second: null, seconds_left: null, failures: {} });
  });

  it('keeps a log of what happened to a batch', async () => {
    const release = engine.holdFrom(0);
    const batchId = await workspace.submit(echoRows(20));
    await workspace.until(batchId, ({ status }) => status === 'in_progress');
    await workspace.redis.kill();
    await workspace.until(batchId, ({ interleave }) => interleave?.paused === 'Redis is not reachable');
    await workspace.redis.start();
    await workspace.until(batchId, ({ interleave }) => interleave?.paused === undefined);
    release();
    await workspace.untilOver(batchId);
    const log = (await workspace.batches.read(batchId))?.log ?? [];
    const told = log.map(({ event, message }) => `${event}: ${message}`).filter((line) => !line.startsWith('retry'));
    expect(told).toEqual([
      expect.stringMatching(/^owner: node test-\w+ has it$/),
      'status: in_progress: 0 of 20 rows completed, 0 failed',
      'paused: Redis is not reachable',
      'resumed: goes on',
      'status: finalizing: 20 of 20 rows completed, 0 failed',
      'status: completed: 20 of 20 rows completed, 0 failed',
    ]);
  });

  it('finds batches beside one that cannot be read', async () => {
    const inputs = await workspace.upload(toJsonl(echoRows(3)));
    const broken = newBatchId();
    await workspace.store.put(`open/${broken}`, Buffer.alloc(0));
    await workspace.store.put(`batches/${broken}/manifest.json`, Buffer.from('{'));
    expect((await workspace.untilOver(await workspace.createBatch(inputs))).status).toBe('completed');
  });

  it('puts rows that fail into the error file and completes the others', async () => {
    const rows = echoRows(30).map((row, index) => (index % 7 === 3 ? echoRow(index, index % 2 === 0 ? 'bad' : null) : row));
    const batch = await workspace.untilOver(await workspace.submit(rows));
    const errors = await workspace.readLines(batch.error_file_id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 30, completed: 26, failed: 4 } });
    expect(idsOf(errors)).toEqual(['row-3', 'row-10', 'row-17', 'row-24']);
    expect(batch.interleave).toMatchObject({ progress: { rows_per_second: null, failures: { invalid_request: 2, inference_failed: 2 } } });
    expect(errors[0]).toMatchObject({
      response: { status_code: 400, body: { error: { code: 'invalid_request' } } },
      error: { code: 'invalid_request' },
    });
    expect(errors[1]).toMatchObject({ response: { status_code: 422 }, error: { code: 'inference_failed' } });
  });

  it('writes lines that no reader splits, and fails a row with half a character', async () => {
    const rows = [
      echoRow(0, 'a\u0085\u2028\u2029b'),
      { ...echoRow(1, 'bad'), custom_id: 'c\u2028d' },
      echoRow(2, 'x\ud83dy'),
      echoRow(3, 'x\\ud83d \u{1F600}'),
    ];
    const batch = await workspace.untilOver(await workspace.submit(rows));
    const [output, errors] = await Promise.all([batch.output_file_id, batch.error_file_id].map((id) => workspace.readText(id)));
    expect(output).not.toMatch(/[\u0085\u2028\u2029]/);
    expect(errors).not.toMatch(/[\u0085\u2028\u2029]/);
    expect((await workspace.readLines(batch.output_file_id)).map(({ response }) => response?.body.echo)).toEqual([
      'a\u0085\u2028\u2029b',
      'x\\ud83d \u{1F600}',
    ]);
    const failed = await workspace.readLines(batch.error_file_id);
    expect(failed.map(({ custom_id: id, error }) => [id, error?.code])).toEqual([
      ['c\u2028d', 'inference_failed'],
      ['row-2', 'invalid_request'],
    ]);
  });

  it('gives a deterministic batch over the same file the same bytes, and tells the engine to run each row alone', async () => {
    const rows = echoRows(40).map((row, index) => (index % 9 === 4 ? echoRow(index, 'bad') : row));
    const fileId = await workspace.upload(toJsonl(rows));
    const contents: string[][] = [];
    for (let times = 0; times < 2; times++) {
      const batch = await workspace.untilOver(await workspace.createBatch(fileId, { deterministic: true }));
      expect(batch.deterministic).toBe(true);
      contents.push(await Promise.all([batch.output_file_id, batch.error_file_id].map((id) => workspace.readText(id))));
    }
    expect(contents[1]).toEqual(contents[0]);
    expect(engine.ranAlone).toBe(80);
  });

  it('has no output file when no row succeeds', async () => {
    const batch = await workspace.untilOver(await workspace.submit([echoRow(0, 'bad'), echoRow(1, 'bad')]));
    expect(batch).toMatchObject({ status: 'completed', output_file_id: null, request_counts: { total: 2, completed: 0, failed: 2 } });
  });

  it('fails a batch whose file is wrong, with the lines, and leaves no files', async () => {
    const text = `${toJsonl([echoRow(0)])}not json\n\n${toJsonl([echoRow(0), { ...echoRow(1), url: '/v1/other' }])}`;
    const batch = await workspace.untilOver(await workspace.createBatch(await workspace.upload(text)));
    expect(batch).toMatchObject({ status: 'failed', output_file_id: null, error_file_id: null });
    expect(batch.errors?.data.map(({ code, line }) => [code, line])).toEqual([
      ['invalid_json_line', 2],
      ['duplicate_custom_id', 4],
      ['mismatched_url', 5],
    ]);
  });

  it('fails a batch for a model that does not exist', async () => {
    const batch = await workspace.untilOver(await workspace.submit([{ ...echoRow(0), body: { model: 'nobody', input: 'x' } }]));
    expect(batch).toMatchObject({ status: 'failed', errors: { data: [{ code: 'model_not_found', param: 'model' }] } });
  });

  it('cancels: answered rows are published, those that ran are said to be cut, and the others are counted', async () => {
    const release = engine.holdFrom(25);
    const batchId = await workspace.submit(echoRows(100));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    // One or two chunks of ten rows are committed, and a row takes half a second.
    expect([40, 45]).toContain(lane.status().backlogSeconds);
    await workspace.batches.requestCancel(batchId);
    const batch = await workspace.untilOver(batchId);
    release();
    const outputs = await workspace.readLines(batch.output_file_id);
    const errors = await workspace.readLines(batch.error_file_id);
    expect(batch.status).toBe('cancelled');
    expect(batch.request_counts).toEqual({ total: 100, completed: outputs.length, failed: 100 - outputs.length });
    expect(batch.interleave).toMatchObject({ priority: 'normal', not_run: 100 - outputs.length - errors.length });
    expect(batch.interleave.progress?.failures).toEqual({ batch_cancelled: errors.length });
    while (lane.status().ended?.length === 0) await sleep(10);
    expect(lane.status().ended).toEqual([
      { id: batchId, status: 'cancelled', total: 100, completed: outputs.length, failed: errors.length },
    ]);
    expect(outputs.length).toBeGreaterThanOrEqual(10);
    expect(new Set([...idsOf(outputs), ...idsOf(errors)]).size).toBe(outputs.length + errors.length);
    expect(errors.length).toBeLessThan(100 - outputs.length);
    expect(errors.every(({ response, error }) => response === null && error?.code === 'batch_cancelled')).toBe(true);
    // Nothing was written for what was never started, or a cancel of many rows would take long.
    expect((await workspace.store.listNames(`batches/${batchId}/chunks/`)).length).toBeLessThan(8);
  });

  it('does a chunk again whose result was damaged in the store', async () => {
    const release = engine.holdFrom(25);
    const batchId = await workspace.submit(echoRows(60));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    await workspace.store.put(`batches/${batchId}/chunks/0`, Buffer.from('damaged'));
    release();
    const batch = await workspace.untilOver(batchId);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { completed: 60, failed: 0 } });
    expect(idsOf(await workspace.readLines(batch.output_file_id))).toEqual(echoRows(60).map(({ custom_id: id }) => id));
  });

  it('ends when it is cancelled although its input is gone', async () => {
    const release = engine.holdFrom(25);
    const inputs = await workspace.upload(toJsonl(echoRows(100)));
    const batchId = await workspace.createBatch(inputs);
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    await workspace.store.delete(workspace.files.contentKey(inputs));
    await workspace.batches.requestCancel(batchId);
    release();
    expect(await workspace.untilOver(batchId)).toMatchObject({ status: 'cancelled' });
  });

  it('expires: rows that did not run within the window are said so', async () => {
    const release = engine.holdFrom(5);
    const batchId = await workspace.createBatch(await workspace.upload(toJsonl(echoRows(40))), {
      expires_at: Math.floor(Date.now() / 1000) + 1,
    });
    const batch = await workspace.untilOver(batchId);
    release();
    const errors = await workspace.readLines(batch.error_file_id);
    expect(batch).toMatchObject({ status: 'expired', request_counts: { total: 40 } });
    expect(batch.expired_at).not.toBeNull();
    expect(errors.every(({ error }) => error?.code === 'batch_expired')).toBe(true);
    expect(errors.length + (await workspace.readLines(batch.output_file_id)).length).toBe(40);
    expect(batch.interleave.not_run).toBe(errors.length);
  });

  it('pauses while the disk is full, says so, and goes on', async () => {
    const release = engine.holdFrom(15);
    const batchId = await workspace.submit(echoRows(60));
    await workspace.until(batchId, ({ status }) => status === 'in_progress');
    freeBytes = -1;
    const paused = await workspace.until(batchId, ({ interleave }) => interleave.paused !== undefined);
    expect(paused.interleave.paused).toContain('free on the disk');
    release();
    freeBytes = Number.MAX_SAFE_INTEGER;
    const batch = await workspace.untilOver(batchId);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { completed: 60 } });
    expect(batch.interleave.paused).toBeUndefined();
  });

  it('takes nothing while it may not work beside the other nodes, says why, and goes on', async () => {
    await lane.close(0);
    let refusal: string | null = 'node b writes what this one cannot read';
    lane = await openTestRunner(workspace.config, engine, { refusal: async () => refusal });
    const batchId = await workspace.submit(echoRows(20));
    await sleep(500);
    expect([(await workspace.batches.get(batchId, SEES_ALL)).status, lane.status().batches]).toEqual(['validating', []]);
    refusal = null;
    expect(await workspace.untilOver(batchId)).toMatchObject({ status: 'completed', request_counts: { completed: 20 } });
  });

  it('takes chunks of a later batch before an earlier one is through', async () => {
    const release = engine.holdFrom(1);
    const first = await workspace.submit(echoRows(400));
    await workspace.until(first, ({ status }) => status === 'in_progress');
    const second = await workspace.submit(echoRows(20));
    await workspace.until(second, ({ status }) => status === 'in_progress');
    release();
    await workspace.untilOver(second);
    expect((await workspace.batches.get(first, SEES_ALL)).request_counts.completed).toBeLessThan(400);
    await workspace.untilOver(first);
  });

  it('does a chunk once, however often the queue brings it', async () => {
    const bull = {
      address: { path: workspace.redis.socketPath },
      instanceId: await readInstanceId(workspace.store),
      onError: () => undefined,
    };
    queues = new BatchQueues(bull);
    const release = engine.holdFrom(15);
    const batchId = await workspace.submit(echoRows(30));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    const again = [0, 1, 2, 3].map((chunkIndex) => ({ jobId: `again-${chunkIndex}`, payload: { batchId, chunkIndex } }));
    await queues.addChunks([...again, { jobId: 'stranger', payload: { batchId: newBatchId(), chunkIndex: 0 } }]);
    release();
    await workspace.untilOver(batchId);
    while ((await queues.chunkState('stranger')) !== 'gone') await sleep(10);
    expect([...engine.seen.values()]).toEqual(Array.from({ length: 30 }, () => 1));
  });

  it('puts running chunks back when it is closed, and another lane finishes', async () => {
    const release = engine.holdFrom(30);
    const batchId = await workspace.submit(echoRows(100));
    await workspace.until(batchId, ({ request_counts: { completed } }) => completed >= 10);
    await lane.close(0);
    release();
    lane = await openTestRunner(workspace.config, engine);
    const batch = await workspace.untilOver(batchId);
    expect(idsOf(await workspace.readLines(batch.output_file_id))).toEqual(echoRows(100).map(({ custom_id: id }) => id));
  });

  it('fails a batch at which runners crash again and again, keeps what it has, and goes on with the others', async () => {
    engine.holdFrom(15);
    const heavy = await workspace.submit(echoRows(30));
    let healthy = '';
    for (let crashes = 1; crashes <= 3; crashes++) {
      await workspace.until(heavy, () => lane.status().batches.some(({ id, runningChunks }) => id === heavy && runningChunks > 0));
      if (crashes === 1) await workspace.until(heavy, ({ request_counts: { completed } }) => completed === 10);
      await lane.close(0);
      if (crashes === 3) healthy = await workspace.submit(echoRows(10));
      lane = await openTestRunner(workspace.config, engine, { crashes });
    }
    const failed = await workspace.untilOver(heavy);
    expect(failed).toMatchObject({
      status: 'failed',
      request_counts: { total: 30, completed: 10 },
      errors: { data: [{ code: 'runner_crashed' }] },
    });
    expect(idsOf(await workspace.readLines(failed.output_file_id))).toEqual(echoRows(10).map(({ custom_id: id }) => id));
    expect(await workspace.untilOver(healthy)).toMatchObject({ status: 'completed', request_counts: { completed: 10 } });
  });

  it('lets the others wait while a batch that may crash the runner has its turn', async () => {
    const release = engine.holdFrom(15);
    const suspect = await workspace.submit(echoRows(30).slice(20));
    for (let crashes = 1; crashes <= 2; crashes++) {
      await workspace.until(suspect, () => lane.status().batches.some(({ runningChunks }) => runningChunks > 0));
      await lane.close(0);
      lane = await openTestRunner(workspace.config, engine, { crashes });
    }
    const other = await workspace.submit(echoRows(10));
    await workspace.until(
      suspect,
      () => lane.status().batches.length === 2 && lane.status().batches.some(({ runningChunks }) => runningChunks > 0),
    );
    expect((await workspace.batches.get(other, SEES_ALL)).status).toBe('validating');
    release();
    await workspace.untilOver(suspect);
    expect(await workspace.untilOver(other)).toMatchObject({ status: 'completed' });
  });

  it('lets one process at a time work on a data directory', async () => {
    const opening = openTestRunner(workspace.config, engine);
    const batchId = await workspace.submit(echoRows(10));
    await workspace.untilOver(batchId);
    expect(await Promise.race([opening.then(() => 'open'), Promise.resolve('waiting')])).toBe('waiting');
    await lane.close(0);
    lane = await opening;
  });
});
