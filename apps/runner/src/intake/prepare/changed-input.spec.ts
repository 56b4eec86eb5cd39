import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BatchView, NewBatch, TableInput } from '@app/batches';
import type { OpenRunner } from '../../open-runner';
import { EchoEngine } from '../../testing/echo-engine';
import { openTestRunner } from '../../testing/open-test-runner';
import { Workspace } from '../../testing/workspace';

describe('a retry of a batch of a URI', () => {
  let root: string;
  let path: string;
  let workspace: Workspace;
  let lane: OpenRunner;
  /** A batch of `ORIGINAL`, in which one row failed. */
  let retryOf: string;

  beforeAll(async () => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'il-changed-')));
    path = join(root, 'rows.csv');
    workspace = new Workspace({ inputRoots: [root] });
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, new EchoEngine());
    writeFileSync(path, ORIGINAL);
    const { id, request_counts: counts } = await run();
    expect(counts).toEqual({ total: 3, completed: 2, failed: 1 });
    retryOf = id;
  });
  afterAll(async () => {
    await lane.close(0);
    await workspace.close();
    rmSync(root, { recursive: true, force: true });
  });

  const ORIGINAL = 'text\none\nbad\ntwo\n';

  async function run(parts: Partial<NewBatch> = {}): Promise<BatchView> {
    const uri = pathToFileURL(path).href;
    const input: TableInput = { kind: 'table', uri, format: 'csv', columns: { input: 'text' }, idColumn: null, model: 'echo' };
    const table = { input, output: null, hasPreparedRows: true };
    return workspace.untilOver(await workspace.createBatch(null, {}, { table, ...parts }));
  }

  it.each([
    ['a row more at the start', 'text\nzero\none\nbad\ntwo\n'],
    ['a text of the same length', 'text\none\nBAD\ntwo\n'],
    ['no rows', 'text\n'],
  ])('is refused once the file has %s', async (_, content) => {
    writeFileSync(path, content);
    const refused = await run({ retryOf });
    expect([refused.status, refused.output_file_id]).toEqual(['failed', null]);
    expect(refused.errors?.data).toEqual([
      {
        code: 'input_changed',
        message:
          `The rows of ${pathToFileURL(path).href} are not those that ${retryOf} had, so that it cannot be told which of them are left; ` +
          'put the file back as it was and retry again, or submit a new batch.',
        param: 'input',
        line: null,
      },
    ]);
  });

  it('goes on once the file is back as it was, and can itself be retried', async () => {
    writeFileSync(path, ORIGINAL);
    const first = await run({ retryOf });
    expect(first).toMatchObject({ status: 'completed', request_counts: { total: 1, completed: 0, failed: 1 } });
    expect(await run({ retryOf: first.id })).toMatchObject({ status: 'completed', request_counts: { total: 1, failed: 1 } });
  });

  it('is refused by the length of the rows where a former release made them', async () => {
    const found = await workspace.batches.readForUpdate(retryOf);
    if (found === null) throw new Error('no manifest');
    const { rowsDigest, ...manifest } = found.manifest;
    expect(rowsDigest).toMatch(/^[0-9a-f]{64}$/);
    await workspace.batches.update(manifest, found.version);
    expect((await run({ retryOf })).status).toBe('completed');
    writeFileSync(path, `${ORIGINAL}three\n`);
    expect((await run({ retryOf })).errors?.data).toMatchObject([{ code: 'input_changed' }]);
  });
});
