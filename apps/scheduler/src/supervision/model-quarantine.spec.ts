import { DEATHS_MAX, ModelQuarantine, type ModelOfLane, WINDOW_MS } from './model-quarantine';

const model: ModelOfLane = { name: 'm', version: '1', lane: 'realtime' };
const die = (quarantine: ModelQuarantine, times: number, who = model) => Array.from({ length: times }, () => quarantine.workerDied(who, 'signal SIGFPE'));

describe('quarantine of models', () => {
  it('begins with the sixth death and is said once', () => {
    const quarantine = new ModelQuarantine();
    const said = die(quarantine, DEATHS_MAX + 2);
    expect(said.map((entry) => entry !== null)).toEqual([false, false, false, false, false, true, false, false]);
    expect(said[DEATHS_MAX - 1]).toMatchObject(model);
    expect(said[DEATHS_MAX - 1]?.reason).toMatch(/^quarantined: 6 realtime workers died of it.* signal SIGFPE; restart the node/);
    expect(quarantine.models()).toHaveLength(1);
  });

  it('counts each model version and each lane by itself', () => {
    const quarantine = new ModelQuarantine();
    for (const other of [{ name: 'n' }, { version: '2' }, { lane: 'batch' as const }]) die(quarantine, DEATHS_MAX - 1, { ...model, ...other });
    die(quarantine, DEATHS_MAX - 1);
    expect(quarantine.models()).toEqual([]);
    die(quarantine, 1);
    expect(quarantine.models()).toMatchObject([model]);
  });

  it('forgets deaths that are long ago', () => {
    let nowMs = 0;
    const quarantine = new ModelQuarantine([], () => nowMs);
    die(quarantine, DEATHS_MAX - 1);
    nowMs += WINDOW_MS;
    die(quarantine, DEATHS_MAX - 1);
    expect(quarantine.models()).toEqual([]);
  });

  it('keeps what an earlier scheduler found', () => {
    const quarantine = new ModelQuarantine([{ ...model, reason: 'r' }]);
    expect(die(quarantine, DEATHS_MAX)).toEqual(Array(DEATHS_MAX).fill(null));
    expect(quarantine.models()).toEqual([{ ...model, reason: 'r' }]);
  });
});
