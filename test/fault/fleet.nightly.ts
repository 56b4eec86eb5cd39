import { batchKills } from '../../bench/fleet/parts/batch-kills';
import { envoyProgram, s3ServerKind } from '../../bench/fleet/fleet';
import { lostChunks } from '../../bench/fleet/parts/lost-chunks';
import { pausedOwner } from '../../bench/fleet/parts/paused-owner';
import { rollingRestart } from '../../bench/fleet/parts/live';

const MINUTES_20 = 20 * 60_000;
const ROWS = 4_000;
/** What the fleet promises: a lock of 15 s and the next look for lost jobs, at most 5 s later. */
const TAKEN_OVER_SECONDS_MAX = 20;
const hasStore = s3ServerKind() !== null;
const withEnvoy = envoyProgram() !== null;

/** The short form of `bench/fleet`. */
(hasStore ? describe : describe.skip)('a fleet on one Redis and one bucket', () => {
  it(
    'writes the same bytes as one node, whatever is killed meanwhile',
    async () => {
      const figures = await batchKills({ rows: ROWS, nodes: 2, kills: 6, gapMs: 1_500, withEnvoy });
      expect(figures).toMatchObject({ isIdentical: true, output: { lines: ROWS, wrongRows: 0 } });
    },
    MINUTES_20,
  );

  it(
    'does the chunks of a lost node elsewhere in time',
    async () => {
      const { chunks, secondsMax } = await lostChunks();
      expect(chunks).toBeGreaterThan(0);
      expect(secondsMax).toBeLessThanOrEqual(TAKEN_OVER_SECONDS_MAX);
    },
    MINUTES_20,
  );

  it(
    'lets an owner that was away for longer than its lock commit nothing',
    async () => {
      const figures = await pausedOwner({ rows: ROWS, pausedMs: 25_000 });
      expect(figures).toMatchObject({ isTakenOver: true, isIdentical: true, wrongRows: 0 });
      expect(figures.fencedSeconds).not.toBeNull();
    },
    MINUTES_20,
  );

  (withEnvoy ? it : it.skip)(
    'is restarted node by node without an error in either lane',
    async () => {
      const figures = await rollingRestart({ nodes: 2, perSecond: 10, rows: ROWS });
      expect(figures).toMatchObject({ errors: {}, isIdentical: true, wrongRows: 0, failedRows: 0 });
    },
    MINUTES_20,
  );
});
