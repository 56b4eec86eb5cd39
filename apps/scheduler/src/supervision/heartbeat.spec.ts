import { tmpdir } from 'node:os';
import { writeSync } from 'node:fs';
import { HeartbeatFile } from './heartbeat-file';
import { HeartbeatWatch } from './heartbeat-watch';
import { culpritOf } from './worker-death';

describe('the page of a heartbeat', () => {
  it('is read as the native side lays it out', () => {
    const file = HeartbeatFile.create(3, tmpdir());
    expect(file.read()).toEqual({ beats: 0n, culprit: null, activities: [] });
    writeSync(file.fd, Buffer.from(BigUint64Array.from([7n, 3n, 0n, 0n, 1n, 5_000n, 9n, 2n ** 40n]).buffer), 0, 64, 0);
    expect(file.read()).toEqual({ beats: 7n, culprit: 2, activities: [{ model: 0, isLoading: false, sinceNs: 5_000n }, { model: 8, isLoading: true, sinceNs: 2n ** 40n }] });
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
  const busyWith = (...models: number[]) => models.map((model) => ({ model, isLoading: false, sinceNs: 1n }));
  const crash = { reason: 'signal SIGSEGV', isCrash: true };
  const aboveMemoryLimit = { reason: 'exit code 12', isCrash: true };
  const killed = { reason: 'signal SIGKILL', isCrash: false };

  it.each([
    ['the model that it named, whatever else ran', crash, { culprit: 4, activities: busyWith(1, 4) }, 4],
    ['the model that it named, though how it ended is not known', killed, { culprit: 4, activities: busyWith(4) }, 4],
    ['the only model that ran when it crashed', crash, { culprit: null, activities: busyWith(2, 2) }, 2],
    ['the only model that ran when the memory was above its limit', aboveMemoryLimit, { culprit: null, activities: busyWith(3) }, 3],
    ['nobody when several ran', crash, { culprit: null, activities: busyWith(1, 2) }, null],
    ['nobody when none ran', crash, { culprit: null, activities: [] }, null],
    ['nobody when it was killed from outside', killed, { culprit: null, activities: busyWith(2) }, null],
  ])('is %s', (_name, exit, reading, culprit) => {
    expect(culpritOf(exit, { beats: 9n, ...reading })).toEqual(culprit === null ? null : { model: culprit, whileLoading: false });
  });

  it('is known to have been loaded only', () => {
    const loading = busyWith(1).map((activity) => ({ ...activity, isLoading: true }));
    expect(culpritOf(crash, { beats: 9n, culprit: null, activities: loading })).toEqual({ model: 1, whileLoading: true });
    expect(culpritOf(crash, { beats: 9n, culprit: 1, activities: [...loading, ...busyWith(1)] })).toEqual({ model: 1, whileLoading: false });
  });
});
