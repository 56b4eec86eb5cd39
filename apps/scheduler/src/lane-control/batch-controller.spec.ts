import { ServiceCounts } from '@app/native';
import { commandOf, freeBatchLane, stateOf, stepBatchControl, type BatchCommand, type BatchControl } from './batch-controller';
import { HALVINGS_MAX, JUDGED_ANSWERS_MIN, PAUSE_MS, PAUSE_MS_MAX, RECOVERY_MS, SETTLE_MS, TICK_MS } from './thresholds';

const SLO_MS = 100;
/** Buckets of 32 to an octave: 3 %. */
const bucketOf = (ms: number): number => {
  const us = Math.round(ms * 1000);
  const shift = Math.floor(Math.log2(us)) - 5;
  return 32 * (shift + 1) + Math.floor(us / 2 ** shift) - 32;
};

/** A node in virtual time: live answers that all take what `latencyMs` says for what the batch lane may do. */
class Scenario {
  nowMs = 0;
  control: BatchControl;
  readonly commands: (BatchCommand & { atMs: number })[] = [];
  answersPerTick = JUDGED_ANSWERS_MIN;
  batchIsActive = true;

  constructor(
    executorsMax: number,
    public latencyMs: (command: BatchCommand) => number,
    private readonly sloMs: number | null = SLO_MS,
  ) {
    this.control = freeBatchLane(executorsMax, 0);
  }

  run(forMs: number): this {
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs;) {
      this.nowMs += TICK_MS;
      const fresh = new ServiceCounts();
      if (this.answersPerTick > 0) fresh.add(bucketOf(this.latencyMs(commandOf(this.control))), this.answersPerTick);
      const live = [{ model: 'm', sloMs: this.sloMs, fresh }];
      this.control = stepBatchControl(this.control, { live, batchIsActive: this.batchIsActive }, this.nowMs);
      this.commands.push({ atMs: this.nowMs, ...commandOf(this.control) });
    }
    return this;
  }

  get command(): BatchCommand {
    return commandOf(this.control);
  }

  /** Times at which executors went to 0. */
  pauses(): number[] {
    return this.commands.filter(({ executors }, i) => executors === 0 && this.commands[i - 1]?.executors !== 0).map(({ atMs }) => atMs);
  }
}

const OPEN = (executors: number): BatchCommand => ({ executors, halvings: 0 });

describe('the controller of the batch lane', () => {
  it('moves nothing without a goal', () => {
    const node = new Scenario(4, () => 10_000, null).run(300_000);
    expect(node.commands.every(({ executors, halvings }) => executors === 4 && halvings === 0)).toBe(true);
    expect(node.control).toMatchObject({ verdict: null, reason: null });
    expect(stateOf(node.control)).toBe('open');
  });

  it('moves nothing while there is room, none too much, or too few answers', () => {
    expect(new Scenario(4, () => 50).run(120_000).command).toEqual(OPEN(4));
    expect(new Scenario(4, () => 80).run(120_000).command).toEqual(OPEN(4));
    const quiet = new Scenario(4, () => 10_000);
    quiet.answersPerTick = 0;
    expect(quiet.run(120_000).command).toEqual(OPEN(4));
  });

  it('moves nothing when the goal is missed without any batch run', () => {
    const node = new Scenario(4, () => 500);
    node.batchIsActive = false;
    expect(node.run(60_000).command).toEqual(OPEN(4));
    expect(node.control.verdict?.slack).toBeLessThan(0);
  });

  it('gives no executor for 5 s once batch runs make the goal missed, then half of them and shorter runs', () => {
    const node = new Scenario(4, ({ executors }) => (executors > 2 ? 150 : 50)).run(TICK_MS);
    expect(node.command.executors).toBe(0);
    expect(stateOf(node.control)).toBe('paused');
    expect(node.control.reason).toMatch(/^m: p99 1\d\d ms of 100 ms: no batch executors for 5 s$/);
    node.run(PAUSE_MS - TICK_MS);
    expect(node.command.executors).toBe(0);
    node.run(TICK_MS);
    expect(node.command).toEqual({ executors: 2, halvings: 1 });
    expect(stateOf(node.control)).toBe('limited');
  });

  it('gives one step back for every 30 s of room, up to the full width', () => {
    const node = new Scenario(4, ({ executors }) => (executors > 2 ? 150 : 50)).run(PAUSE_MS + TICK_MS);
    node.latencyMs = () => 50;
    node.run(RECOVERY_MS - TICK_MS);
    expect(node.command).toEqual({ executors: 2, halvings: 1 });
    node.run(2 * TICK_MS);
    expect(node.command).toEqual({ executors: 3, halvings: 0 });
    node.run(RECOVERY_MS);
    expect(node.command).toEqual(OPEN(4));
    expect(stateOf(node.control)).toBe('open');
    expect(node.run(300_000).command).toEqual(OPEN(4));
  });

  it('does so too when live traffic has ended', () => {
    const node = new Scenario(4, () => 95).run(20_000);
    expect(node.command).toEqual({ executors: 1, halvings: HALVINGS_MAX });
    node.answersPerTick = 0;
    expect(node.run(10 * RECOVERY_MS).command).toEqual(OPEN(4));
  });

  it('makes one step at a time while the goal is only near, and never the last executor', () => {
    const node = new Scenario(3, () => 95).run(TICK_MS);
    expect(node.command).toEqual(OPEN(3));
    node.run(SETTLE_MS);
    expect(node.command).toEqual({ executors: 2, halvings: 1 });
    node.run(SETTLE_MS + TICK_MS);
    expect(node.command).toEqual({ executors: 1, halvings: 2 });
    expect(node.run(120_000).command).toEqual({ executors: 1, halvings: HALVINGS_MAX });
    expect(node.pauses()).toEqual([]);
  });

  it('does not judge a pause by the answers that waited when it began', () => {
    const node = new Scenario(4, () => 150).run(TICK_MS);
    node.run(SETTLE_MS - TICK_MS);
    node.latencyMs = () => 50;
    node.run(PAUSE_MS - SETTLE_MS + TICK_MS);
    expect(node.command).toEqual({ executors: 2, halvings: 1 });
    expect(stateOf(node.control)).toBe('limited');
  });

  it('says so when the goal is missed even without batch runs, keeps to the floor, and comes back from it', () => {
    const node = new Scenario(4, () => 150).run(600_000);
    expect(node.command.executors).toBe(0);
    expect(node.pauses()).toHaveLength(1);
    expect(stateOf(node.control)).toBe('unreachable');
    expect(node.control.reason).toMatch(/even without batch executors: the batch lane keeps its floor$/);
    node.latencyMs = () => 50;
    node.run(60_000);
    expect(node.command.executors).toBeGreaterThan(0);
    expect(stateOf(node.control)).toBe('limited');
    expect(node.run(10 * RECOVERY_MS).command).toEqual(OPEN(4));
  });

  it('swings ever more slowly when even one executor is too much', () => {
    const node = new Scenario(4, ({ executors }) => (executors > 0 ? 150 : 50)).run(600_000);
    const pauses = node.pauses();
    const gaps = pauses.slice(1).map((atMs, i) => atMs - (pauses[i] ?? 0));
    expect(gaps.slice(0, 4)).toEqual([5, 10, 20, 40].map((seconds) => seconds * 1000 + TICK_MS));
    expect(Math.min(...gaps.slice(3))).toBeGreaterThanOrEqual(PAUSE_MS_MAX);
  });

  it('begins with short pauses again once the lane was at its full width', () => {
    const node = new Scenario(2, () => 150).run(TICK_MS);
    node.latencyMs = () => 50;
    node.run(300_000);
    expect(node.command).toEqual(OPEN(2));
    expect(node.control.nextPauseMs).toBe(PAUSE_MS);
  });

  it('judges by the model that is nearest to its goal', () => {
    const answers = (ms: number): ServiceCounts => {
      const counts = new ServiceCounts();
      counts.add(bucketOf(ms), 100);
      return counts;
    };
    const live = [
      { model: 'far', sloMs: 1000, fresh: answers(50) },
      { model: 'near', sloMs: 40, fresh: answers(50) },
      { model: 'free', sloMs: null, fresh: answers(5000) },
    ];
    const control = stepBatchControl(freeBatchLane(2, 0), { live, batchIsActive: true }, TICK_MS);
    expect(commandOf(control).executors).toBe(0);
    expect(control.reason).toMatch(/^near: /);
  });
});
