import { failed, faultScheduler, faultWorkers, realtimeWorkers, startFaultyNode, underLiveLoad } from '../../bench/faults/faulty-node';
import { SeededRandom } from '../support/tensors';
import type { Stack } from '../support/stack';

const MINUTES_5 = 5 * 60_000;
const load = { perSecond: 20, seed: 5 };

/** The short form of `make faults`. */
describe('faults of a node under live load', () => {
  let stack: Stack;
  const workers = (signal: 'SIGKILL' | 'SIGSTOP') => () => faultWorkers(stack, { signal, rounds: 2, random: new SeededRandom(load.seed) });

  beforeAll(async () => {
    stack = await startFaultyNode();
  });
  afterAll(() => stack?.stop());

  it(
    'workers that are killed cost no live request',
    async () => {
      const { outcomes } = await underLiveLoad(stack, load, workers('SIGKILL'));
      expect(outcomes.length).toBeGreaterThan(0);
      expect(failed(outcomes)).toEqual([]);
    },
    MINUTES_5,
  );

  it(
    'workers that are frozen are noticed from outside, killed and replaced',
    async () => {
      const before = await realtimeWorkers(stack);
      const { outcomes } = await underLiveLoad(stack, load, workers('SIGSTOP'));
      expect(failed(outcomes)).toEqual([]);
      const after = await realtimeWorkers(stack);
      expect(after.reduce((sum, { restarts }) => sum + restarts, 0)).toBeGreaterThanOrEqual(
        before.reduce((sum, { restarts }) => sum + restarts, 0) + 2,
      );
      expect(stack.log()).toContain('has had no heartbeat for 2000 ms; killing it');
    },
    MINUTES_5,
  );

  it(
    'a scheduler that is killed is felt by nobody, and the next one keeps every process',
    async () => {
      const { result, outcomes } = await underLiveLoad(stack, load, () => faultScheduler(stack, 2));
      expect(failed(outcomes)).toEqual([]);
      expect(result.map(({ replaced }) => replaced)).toEqual([[], []]);
      // The adopted ones are looked after as before.
      const { outcomes: later } = await underLiveLoad(stack, load, workers('SIGKILL'));
      expect(failed(later)).toEqual([]);
    },
    MINUTES_5,
  );
});
