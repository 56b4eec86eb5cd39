import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { openLane, type OpenLane } from './open-lane';
import { EchoEngine, parseEmbeddings } from './testing/echo-engine';
import { echoRow, echoRows, Workspace } from './testing/workspace';

describe('the batch lane with a real Redis', () => {
  let workspace: Workspace;
  let engine: EchoEngine;
  let lane: OpenLane;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 10 });
    engine = new EchoEngine();
    await workspace.redis.start();
    lane = await open();
  });

  afterEach(async () => {
    await lane.close(0);
    await workspace.close();
  });

  const open = () => openLane(workspace.config, { engine, parseEndpoint: parseEmbeddings, log: createLogger('runner', workspace.config.logLevel), registry: new Registry() });

  it('answers every row once and in input order', async () => {
    const batchId = await workspace.submit(echoRows(257));
    const batch = await workspace.untilOver(batchId);
    const lines = await workspace.readLines(batch.output_file_id);
    expect(batch).toMatchObject({ status: 'completed', model: 'echo', error_file_id: null, request_counts: { total: 257, completed: 257, failed: 0 } });
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(echoRows(257).map(({ custom_id }) => custom_id));
    expect(lines[5]).toEqual({
      id: `batch_req_${batchId.slice(6)}_5`,
      custom_id: 'row-5',
      response: { status_code: 200, request_id: `req_${batchId.slice(6)}_5`, body: { echo: 'text 5' } },
      error: null,
    });
    expect([...engine.seen.values()].every((times) => times === 1)).toBe(true);
  });

  it('puts rows that fail into the error file and completes the others', async () => {
    const rows = echoRows(30).map((row, index) => (index % 7 === 3 ? echoRow(index, index % 2 === 0 ? 'bad' : null) : row));
    const batch = await workspace.untilOver(await workspace.submit(rows));
    const errors = await workspace.readLines(batch.error_file_id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 30, completed: 26, failed: 4 } });
    expect(errors.map(({ custom_id }) => custom_id)).toEqual(['row-3', 'row-10', 'row-17', 'row-24']);
    expect(errors[0]).toMatchObject({ response: { status_code: 400, body: { error: { code: 'invalid_request' } } }, error: { code: 'invalid_request' } });
    expect(errors[1]).toMatchObject({ response: { status_code: 422 }, error: { code: 'inference_failed' } });
  });
});
