import { CrashMarks } from '@app/batches';
import { CrashRecord, RUNNER_DEATHS_MAX } from './crash-record';
import { echoRow, Workspace } from '../testing/workspace';

describe('the record of crashes', () => {
  const workspace = new Workspace();
  let batchId: string;
  beforeEach(async () => (batchId = await workspace.submit([echoRow(0)])));
  afterAll(() => workspace.close());

  /** As a runner finds it that was started after so many crashes. */
  async function found(crashes: number): Promise<CrashRecord> {
    const record = new CrashRecord(new CrashMarks(workspace.directory), batchId, crashes);
    await record.load();
    return record;
  }

  it('gives a batch up that was in work at each of three crashes, after a turn of its own', async () => {
    for (let crashes = 7; crashes < 7 + RUNNER_DEATHS_MAX; crashes++) {
      const record = await found(crashes);
      expect([record.isHopeless, record.isSuspect]).toEqual([false, crashes === 9]);
      await record.beginWork();
    }
    expect(await found(10)).toMatchObject({ isHopeless: true, isSuspect: false });
  });

  it('does not count ends without a crash, nor crashes while it was not in work', async () => {
    for (let lives = 0; lives < 2 * RUNNER_DEATHS_MAX; lives++) await (await found(4)).beginWork();
    for (let crashes = 5; crashes < 12; crashes++) expect((await found(crashes)).isHopeless).toBe(false);
  });

  it('forgets them when the batch gets further', async () => {
    for (let crashes = 0; crashes < 3 * RUNNER_DEATHS_MAX; crashes++) {
      const record = await found(crashes);
      expect(record.isHopeless).toBe(false);
      await record.beginWork();
      if (crashes % 2 === 1) await record.gotFurther();
    }
  });
});
