import type { BlamedInput } from '@app/contracts';
import { InputBlame } from './input-blame';
import { modelKey } from '../placement/model-directory';
import { PendingRequest, type PendingItem } from './pending';

let told: Omit<BlamedInput, 'name' | 'version' | 'lane'>[];
let blame: InputBlame;

function items(count: number): PendingItem[] {
  const inputs = Array.from({ length: count }, () => ({ inputs: [], outputs: null }));
  return new PendingRequest(
    modelKey({ name: 'm', version: '1', revision: 1 }),
    { model: 'm', version: '1', items: inputs, timeoutMs: null, priority: 0, signal: null },
    () => undefined,
  ).items;
}

function die(...running: PendingItem[]): void {
  for (const item of running) item.deaths += 1;
  blame.workerDied(running);
}

describe('the blame for a death', () => {
  beforeEach(() => {
    told = [];
    blame = new InputBlame('batch', ({ name, version, lane, ...rest }) => {
      expect([name, version, lane]).toEqual(['m', '1', 'batch']);
      told.push(rest);
    });
  });

  it('is on the only item that was running, once for each death', () => {
    const [item] = items(1) as [PendingItem];
    blame.countAnswer(modelKey({ name: 'm', version: '1', revision: 1 }));
    die(item);
    die(item);
    expect(told).toEqual([
      { deaths: 1, isNew: true, answered: 1 },
      { deaths: 1, isNew: false, answered: 0 },
    ]);
  });

  it('is on the only one that had been running at an earlier death, for that one too', () => {
    const [guilty, first, second] = items(3) as [PendingItem, PendingItem, PendingItem];
    die(guilty, first);
    expect(told).toEqual([]);
    die(guilty, second);
    expect(told).toEqual([{ deaths: 2, isNew: true, answered: 0 }]);
  });

  it('is on nobody while several may have done it, and no death is explained twice', () => {
    const [one, other] = items(2) as [PendingItem, PendingItem];
    die(one, other);
    die(one, other);
    expect(told).toEqual([]);
    die(one);
    die(other);
    expect(told).toEqual([
      { deaths: 3, isNew: true, answered: 0 },
      { deaths: 1, isNew: true, answered: 0 },
    ]);
    die();
    expect(told).toHaveLength(2);
  });
});
