import { tmpdir } from 'node:os';
import { writeSync } from 'node:fs';
import { HeartbeatFile, type HeartbeatReading, type Phase } from './heartbeat-file';
import { HeartbeatWatch } from './heartbeat-watch';
import { culpritOf } from './worker-death';

describe('the page of a heartbeat', () => {
  it('is read as the native side lays it out', () => {
    const file = HeartbeatFile.create(3, tmpdir());
    expect(file.read()).toEqual({ beats: 0n, culprit: null, activities: [] });
    writeSync(
      file.fd,
      Buffer.from(BigUint64Array.from([7n, (3n << 32n) | 3n, 0n, 0n, 1n, 5_000n, (1n << 32n) | 9n, 2n ** 40n]).buffer),
      0,
      64,
      0,
    );
    expect(file.read()).toEqual({
      beats: 7n,
      culprit: { revision: 3, phase: 'measuring' },
      activities: [
        { revision: 1, phase: 'running', sinceNs: 5_000n },
        { revision: 9, phase: 'loading', sinceNs: 2n ** 40n },
      ],
    });
    file.close();
  });

  it('is not found in a process that has none', () => {
    expect(HeartbeatFile.ofProcess(2 ** 22 + 1, 1)).toBeNull();
  });
});

describe('the watch over a heartbeat', () => {
  const looks = (...beats: number[]) => {
    const watch = new HeartbeatWatch();
    return beats.map((count) => watch.missedBeats(BigInt(count)));
  };

  it('counts the looks for which a heart has stood still', () => {
    expect(looks(1, 2, 2, 2, 2)).toEqual([0, 0, 1, 2, 3]);
  });

  it('begins anew with every beat', () => {
    expect(looks(1, 1, 1, 2, 2, 2, 3)).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  it('waits for as long as it takes until the first beat', () => {
    expect(looks(0, 0, 0, 0, 0, 0, 1)).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('who a worker died of', () => {
  const busy = (phase: Phase, ...revisions: number[]) => revisions.map((revision, i) => ({ revision, phase, sinceNs: BigInt(i) }));
  const named = (revision: number) => ({ culprit: { revision, phase: 'running' as const } });
  const nobodyNamed = { culprit: null };
  const crash = { isCrash: true, mayBeOutOfMemory: false };
  const aboveMemoryLimit = { isCrash: true, mayBeOutOfMemory: true };
  const killedByUs = { isCrash: false, mayBeOutOfMemory: false };
  const killed = { isCrash: false, mayBeOutOfMemory: true };

  it.each<[string, typeof crash, Omit<HeartbeatReading, 'beats'>, number | null, Phase]>([
    ['the model that it named, whatever else ran', crash, { ...named(4), activities: busy('running', 1, 4) }, 4, 'running'],
    [
      'the model that it named, though how it ended is not known',
      killedByUs,
      { ...named(4), activities: busy('running', 4) },
      4,
      'running',
    ],
    [
      'the model that it named, whatever is loaded when the memory is short',
      aboveMemoryLimit,
      { ...named(4), activities: busy('loading', 1) },
      4,
      'running',
    ],
    ['the only model that ran when it crashed', crash, { ...nobodyNamed, activities: busy('measuring', 2, 2) }, 2, 'measuring'],
    [
      'the only model that ran when the memory was above its limit',
      aboveMemoryLimit,
      { ...nobodyNamed, activities: busy('running', 3) },
      3,
      'running',
    ],
    ['the model that was loaded when it was killed from outside', killed, { ...nobodyNamed, activities: busy('loading', 2) }, 2, 'loading'],
    ['the model that was probed then', killed, { ...nobodyNamed, activities: busy('probing', 2) }, 2, 'probing'],
    [
      'the model that was loaded then, whatever ran beside it',
      killed,
      { ...nobodyNamed, activities: [...busy('running', 1, 5), ...busy('loading', 2)] },
      2,
      'loading',
    ],
    [
      'the model that was loaded above the memory limit, whatever ran beside it',
      aboveMemoryLimit,
      { ...nobodyNamed, activities: [...busy('running', 1), ...busy('loading', 2)] },
      2,
      'loading',
    ],
    ['the one of several that had been loading for longest', killed, { ...nobodyNamed, activities: busy('loading', 7, 2) }, 7, 'loading'],
    ['nobody when several ran', crash, { ...nobodyNamed, activities: busy('running', 1, 2) }, null, 'running'],
    ['nobody when none ran', crash, { ...nobodyNamed, activities: [] }, null, 'running'],
    [
      'nobody when it was killed from outside while models ran',
      killed,
      { ...nobodyNamed, activities: busy('running', 2) },
      null,
      'running',
    ],
    ['nobody when it was killed by the scheduler', killedByUs, { ...nobodyNamed, activities: busy('loading', 2) }, null, 'loading'],
  ])('is %s', (_name, exit, reading, revision, phase) => {
    expect(culpritOf(exit, { beats: 9n, ...reading })).toEqual(revision === null ? null : { revision, phase });
  });
});
