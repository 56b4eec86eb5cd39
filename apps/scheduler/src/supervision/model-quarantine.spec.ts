import type { BlamedInput, ModelOfLane } from '@app/contracts';
import type { Phase } from './heartbeat-file';
import {
  DEATHS_MAX,
  GRACE_MS,
  IN_A_ROW_MAX,
  LOAD_WINDOW_MS,
  ModelQuarantine,
  PERIOD_MS_MAX,
  PERIOD_MS_MIN,
  TRIAL_DEATHS_MAX,
  WINDOW_MS,
} from './model-quarantine';

const model: ModelOfLane = { name: 'm', version: '1', lane: 'realtime' };
let nowMs: number;
let quarantine: ModelQuarantine;

const die = (times: number, who = model, phase: Phase = 'running'): void => {
  for (let i = 0; i < times; i++) quarantine.workerDied(who, 'signal SIGFPE', phase);
};
const blame = (changes: Partial<BlamedInput> = {}): void =>
  quarantine.inputBlamed({ ...model, deaths: 1, isNew: true, answered: 0, ...changes });
const judgeLater = () => {
  nowMs += GRACE_MS;
  return quarantine.judge();
};
/** How often in a row it is quarantined and released when its time is over, and for how long. */
const nextPeriod = (deaths: number): number => {
  die(deaths);
  const periodMs = judgeLater()[0]?.periodMs ?? 0;
  nowMs += periodMs;
  quarantine.takeDue();
  return periodMs;
};

describe('quarantine of models', () => {
  beforeEach(() => {
    nowMs = 1e12;
    quarantine = new ModelQuarantine([], () => nowMs);
  });

  it('begins with the sixth death, says until when, and is said once', () => {
    die(DEATHS_MAX - 1);
    expect(judgeLater()).toEqual([]);
    die(2);
    const said = judgeLater();
    expect(said).toEqual([
      { ...model, untilMs: nowMs + PERIOD_MS_MIN, periodMs: PERIOD_MS_MIN, isUnloaded: false, reason: expect.any(String) as string },
    ]);
    expect(said[0]?.reason).toMatch(
      /^quarantined until 2001-.*Z: 7 realtime workers died of it.* signal SIGFPE while it ran; .*interleave models release m$/,
    );
    expect(judgeLater()).toEqual([]);
    expect(quarantine.models()).toEqual(said);
  });

  it('counts each model version and each lane by itself', () => {
    for (const other of [{ name: 'n' }, { version: '2' }, { lane: 'batch' as const }]) die(DEATHS_MAX - 1, { ...model, ...other });
    die(DEATHS_MAX - 1);
    expect(judgeLater()).toEqual([]);
    die(1);
    expect(judgeLater()).toMatchObject([model]);
  });

  it('forgets a version that has other files, in every lane', () => {
    die(DEATHS_MAX);
    expect(judgeLater()).toHaveLength(1);
    die(1, { ...model, lane: 'batch' }, 'loading');
    die(1, { ...model, version: '2' }, 'loading');
    quarantine.forget('m', '1');
    expect([quarantine.models(), quarantine.suspects()]).toEqual([[], [{ ...model, version: '2' }]]);
  });

  it('forgets deaths that are long ago', () => {
    die(DEATHS_MAX - 1);
    nowMs += WINDOW_MS;
    die(DEATHS_MAX - 1);
    expect(judgeLater()).toEqual([]);
  });

  it.each([
    ['after', false],
    ['before', true],
  ])('does not count deaths that inputs explain %s they are noticed, while others are answered', (_when, isClaimFirst) => {
    for (let input = 0; input < 4 * DEATHS_MAX; input++) {
      if (isClaimFirst) blame({ deaths: 3, answered: 1 });
      die(3);
      if (!isClaimFirst) blame({ deaths: 3, answered: 1 });
      expect(judgeLater()).toEqual([]);
    }
  });

  it('does not wait for the explanation of a death for longer than the time of grace', () => {
    die(DEATHS_MAX);
    expect(quarantine.judge()).toEqual([]);
    blame();
    expect(judgeLater()).toEqual([]);
    die(1);
    expect(judgeLater()).toMatchObject([model]);
  });

  it('begins when inputs kill and fewer are answered', () => {
    for (let input = 0; input < DEATHS_MAX; input++) {
      die(1);
      blame({ answered: input === 0 ? DEATHS_MAX - 1 : 0 });
      if (input < DEATHS_MAX - 1) expect(judgeLater()).toEqual([]);
    }
    expect(judgeLater()[0]?.reason).toMatch(/6 inputs killed realtime workers and 5 were answered/);
  });

  it('begins when many inputs kill in a row, however many were answered before', () => {
    for (let input = 0; input < IN_A_ROW_MAX; input++) {
      expect(judgeLater()).toEqual([]);
      die(1);
      blame({ answered: input === 0 ? 1e6 : 0 });
    }
    expect(judgeLater()).toHaveLength(1);
  });

  it('does not count inputs whose worker was killed from outside, nor one input twice', () => {
    for (let input = 0; input < 2 * DEATHS_MAX; input++) blame();
    die(2 * DEATHS_MAX);
    blame({ deaths: DEATHS_MAX, isNew: false });
    expect(quarantine.models()).toEqual([]);
    nowMs += WINDOW_MS;
    for (let input = 0; input < 2 * DEATHS_MAX; input++) blame();
    expect(judgeLater()).toEqual([]);
  });

  it('ends after its time, and is twice as long when the trial fails, up to an hour', () => {
    expect(nextPeriod(DEATHS_MAX)).toBe(PERIOD_MS_MIN);
    expect(quarantine.models()).toEqual([]);
    for (const minutes of [2, 4, 8, 16, 32, 60, 60]) expect(nextPeriod(TRIAL_DEATHS_MAX)).toBe(minutes * 60_000);
    expect(PERIOD_MS_MAX).toBe(3_600_000);
    nowMs += WINDOW_MS + 1;
    expect(nextPeriod(TRIAL_DEATHS_MAX)).toBe(0);
  });

  it('ends by command, of one version or lane or of all', () => {
    const others = [model, { ...model, version: '2' }, { ...model, lane: 'batch' as const }, { ...model, name: 'n' }];
    for (const other of others) die(DEATHS_MAX, other, 'loading');
    expect(judgeLater()).toHaveLength(4);
    expect(quarantine.release('m', '2', null)).toMatchObject([{ version: '2', isUnloaded: true }]);
    expect(quarantine.release('m', null, 'batch')).toMatchObject([{ lane: 'batch' }]);
    expect(quarantine.release('m', null, null)).toHaveLength(1);
    expect(quarantine.models()).toMatchObject([{ name: 'n' }]);
  });

  it.each<[Phase, RegExp, boolean]>([
    ['running', /SIGFPE while it ran;/, false],
    ['loading', /SIGFPE while it was loaded;/, true],
    ['probing', /SIGFPE while made-up rows were run to see whether rows may share runs;/, true],
    ['measuring', /SIGFPE while it was measured what its runs cost;/, false],
  ])('says that the model was %s, and is not loaded if it was not ready', (phase, reason, isUnloaded) => {
    die(DEATHS_MAX, model, phase);
    expect(judgeLater()).toMatchObject([{ reason: expect.stringMatching(reason) as string, isUnloaded }]);
  });

  it('counts deaths while a model was loaded or measured, whatever inputs are blamed for', () => {
    for (let death = 0; death < DEATHS_MAX; death++) {
      blame({ answered: 9 });
      die(1, model, death % 2 === 0 ? 'loading' : 'measuring');
    }
    expect(judgeLater()).toHaveLength(1);
  });

  it('suspects a model from its first death before it is ready on, until it is quarantined, and again on trial', () => {
    expect(quarantine.suspects()).toEqual([]);
    die(1, { ...model, name: 'ready' });
    die(1, model, 'probing');
    expect(quarantine.suspects()).toEqual([model]);
    die(DEATHS_MAX, model, 'loading');
    judgeLater();
    expect(quarantine.suspects()).toEqual([]);
    quarantine.release('m', null, null);
    expect(quarantine.suspects()).toEqual([model]);
    nowMs += LOAD_WINDOW_MS + 1;
    judgeLater();
    expect(quarantine.suspects()).toEqual([]);
  });

  it('counts loads that kill after minutes, and does not forget their trial meanwhile', () => {
    for (let death = 1; death < DEATHS_MAX; death++) {
      die(1, model, 'loading');
      expect(judgeLater()).toEqual([]);
      nowMs += WINDOW_MS;
    }
    die(1, model, 'loading');
    expect(judgeLater()).toMatchObject([{ reason: expect.stringMatching(/6 realtime workers died of it within 60 minutes/) as string }]);
    quarantine.release('m', null, null);
    nowMs += WINDOW_MS + 60_000;
    expect(judgeLater()).toEqual([]);
    die(1, model, 'loading');
    expect(judgeLater()).toMatchObject([{ periodMs: 2 * PERIOD_MS_MIN }]);
  });

  it('gives one that dies before it is ready a single load in each trial', () => {
    die(DEATHS_MAX, model, 'loading');
    expect(judgeLater()).toHaveLength(1);
    nowMs += PERIOD_MS_MIN;
    quarantine.takeDue();
    die(1, model, 'loading');
    expect(judgeLater()).toMatchObject([
      { periodMs: 2 * PERIOD_MS_MIN, reason: expect.stringContaining('1 realtime worker died of it') as string },
    ]);
  });

  it('keeps what an earlier scheduler found', () => {
    const kept = { ...model, reason: 'r', untilMs: nowMs + 5, periodMs: 4 * PERIOD_MS_MIN, isUnloaded: false };
    quarantine = new ModelQuarantine([kept], () => nowMs);
    die(DEATHS_MAX);
    expect(judgeLater()).toEqual([]);
    expect(quarantine.takeDue()).toEqual([kept]);
    expect(nextPeriod(TRIAL_DEATHS_MAX)).toBe(8 * PERIOD_MS_MIN);
    quarantine = new ModelQuarantine([{ ...kept, isUnloaded: true }], () => nowMs);
    quarantine.release('m', null, null);
    expect(quarantine.suspects()).toEqual([model]);
  });
});
