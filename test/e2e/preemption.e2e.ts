import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PreemptionProof } from '@app/contracts';
import { provePreemption } from '@app/native';
import { isMachineRoot, readCpuGroup, readTopology } from '@app/system';

const ROOT = join(__dirname, '..', '..');
const CHILD = ['--require', join(ROOT, 'test/fixtures/register-ts.cjs'), join(ROOT, 'libs/native/lib/preemption/child.ts')];
const AUTOGROUP = '/proc/sys/kernel/sched_autogroup_enabled';
/** Another program on the CPU can hide in one round what the next shows. */
const ROUNDS_MAX = 3;

const prove = (batchInOwnSession: boolean): Promise<PreemptionProof> =>
  provePreemption({ cpu: readTopology().effective.at(-1) ?? 0, batchInOwnSession, childArgs: CHILD });

const autogroupSetting = (): string => readFileSync(AUTOGROUP, 'utf8').trim();

/** Why autogroups cannot be had here; null where they are on or can be switched on. */
function autogroupObstacle(): string | null {
  try {
    if (autogroupSetting() === '0') accessSync(AUTOGROUP, constants.W_OK);
  } catch (error) {
    return (error as Error).message;
  }
  const cgroup = readCpuGroup(process.pid)?.cgroup ?? '';
  return isMachineRoot(cgroup, existsSync) ? null : 'this process has a CPU cgroup, which takes the place of autogroups';
}

const obstacle = autogroupObstacle();
const itWithAutogroups = obstacle === null ? it : it.skip;

describe(`the wake-up self-test${obstacle === null ? '' : ` (no autogroups here: ${obstacle})`}`, () => {
  let setting = '';
  beforeAll(() => {
    setting = autogroupSetting();
    if (setting === '0') writeFileSync(AUTOGROUP, '1');
  });
  afterAll(() => {
    if (setting === '0') writeFileSync(AUTOGROUP, setting);
  });

  itWithAutogroups(
    'finds that a batch executor in a session of its own does not give way, and names the reason',
    async () => {
      let apart: PreemptionProof;
      let together: PreemptionProof;
      let rounds = 0;
      do {
        together = await prove(false);
        apart = await prove(true);
        rounds += 1;
      } while ((apart.verdict !== 'fails' || together.attempts === 0) && rounds < ROUNDS_MAX);
      console.info(
        `${rounds} of at most ${ROUNDS_MAX} rounds; same session: p99 ${together.p99Ms} ms, ${together.verdict}; ` +
          `own session: p99 ${apart.p99Ms} ms, ${apart.verdict}`,
      );
      expect(apart).toMatchObject({
        verdict: 'fails',
        cause: 'autogroup',
        reason: expect.stringContaining('sched_autogroup_enabled=0') as string,
      });
      expect(together.cause).not.toBe('autogroup');
      expect(together.attempts).toBeGreaterThan(0);
    },
    120_000,
  );
});
