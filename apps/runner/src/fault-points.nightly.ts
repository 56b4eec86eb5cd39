import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EchoEngine } from './testing/echo-engine';
import { FAULT_POINTS, type FaultMoment, type FaultPointName } from './testing/fault-points';
import { openTestRunner } from './testing/open-test-runner';
import { echoRow, toJsonl, Workspace } from './testing/workspace';

const ROWS = 100;
const SETTINGS = { chunkRows: 20, chunkConcurrency: 2 };
const REGISTER_TS = join(__dirname, '../../../test/fixtures/register-ts.cjs');
/** One of the rows fails, so that there are both files. */
const FILE = toJsonl(Array.from({ length: ROWS }, (_, index) => echoRow(index, index === 50 ? 'bad' : `text ${index}`)));

describe('a runner that dies at a step of a batch', () => {
  let workspace: Workspace;

  beforeEach(async () => {
    workspace = new Workspace(SETTINGS);
    await workspace.redis.start();
  });
  afterEach(() => workspace.close());

  const submit = async (): Promise<string> => workspace.createBatch(await workspace.upload(FILE), { deterministic: true });

  async function outputs(batchId: string): Promise<string[]> {
    const { status, request_counts: counts, output_file_id: outputId, error_file_id: errorId } = await workspace.untilOver(batchId);
    expect([status, counts]).toEqual(['completed', { total: ROWS, completed: ROWS - 1, failed: 1 }]);
    return Promise.all([workspace.readText(outputId), workspace.readText(errorId)]);
  }

  async function dieAt(point: FaultPointName, moment: FaultMoment): Promise<void> {
    const args = [workspace.directory, JSON.stringify(SETTINGS), point, moment];
    const runner = fork(join(__dirname, 'testing', 'runner-process.ts'), args, { execArgv: ['--require', REGISTER_TS] });
    expect((await once(runner, 'exit'))[1]).toBe('SIGKILL');
  }

  const cases = Object.keys(FAULT_POINTS).flatMap((point) => [
    [point as FaultPointName, 'before'] as const,
    [point as FaultPointName, 'after'] as const,
  ]);
  it.each(cases)('%s, %s: the next one ends the batch with the same bytes', async (point, moment) => {
    const batchId = await submit();
    await dieAt(point, moment);
    const lane = await openTestRunner(workspace.config, new EchoEngine());
    try {
      const afterDeath = await outputs(batchId);
      expect(afterDeath).toEqual(await outputs(await submit()));
      while ((await workspace.batches.listOpenIds()).length > 0) await sleep(20);
    } finally {
      await lane.close(0);
    }
  });
});
