import type { InferenceItem } from '@app/contracts';
import { Backlog, contentKey, distinct } from './backlog';

const item = (bytes: number[], { name = 'ids', shape = [1, bytes.length], outputs = null as string[] | null } = {}): InferenceItem => ({
  inputs: [{ name, datatype: 'UINT8', shape, data: Uint8Array.from(bytes) }],
  outputs,
});

describe('work on its way to a worker', () => {
  it('counts equal items once, until the last has left', () => {
    const backlog = new Backlog();
    const [one, other, unknown] = ['a', 'b', null].map((key) => ({ expectedNs: 5, contentKey: key })) as [never, never, never];
    for (const work of [one, one, other, unknown, unknown]) backlog.add(work);
    expect(backlog.expectedNs).toBe(20);
    backlog.remove(one);
    expect(backlog.expectedNs).toBe(20);
    backlog.remove(one);
    expect(backlog.expectedNs).toBe(15);
    backlog.add(one);
    for (const work of [one, other, unknown, unknown]) backlog.remove(work);
    expect(backlog.expectedNs).toBe(0);
  });

  it('takes back what was added, also when an equal item was predicted to cost something else', () => {
    const backlog = new Backlog();
    backlog.add({ expectedNs: 5, contentKey: 'a' });
    backlog.add({ expectedNs: 7, contentKey: 'a' });
    backlog.remove({ expectedNs: 5, contentKey: 'a' });
    backlog.remove({ expectedNs: 7, contentKey: 'a' });
    expect(backlog.expectedNs).toBe(0);
  });

  it('tells items apart by model, outputs, names, shapes and bytes', () => {
    const keys = [
      contentKey('m', item([1, 2])),
      contentKey('n', item([1, 2])),
      contentKey('m', item([1, 3])),
      contentKey('m', item([1, 2], { name: 'other' })),
      contentKey('m', item([1, 2], { shape: [2, 1] })),
      contentKey('m', item([1, 2], { outputs: ['out'] })),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(contentKey('m', item([1, 2]))).toBe(keys[0]);
  });

  it('does not hash large items', () => {
    expect(contentKey('m', item(Array<number>(64 * 1024 + 1).fill(0)))).toBeNull();
  });

  it('keeps the first of equal items, and all that it knows nothing of', () => {
    const items = ['a', null, 'b', 'a', null].map((key, at) => ({ contentKey: key, at }));
    expect(distinct(items).map(({ at }) => at)).toEqual([0, 1, 2, 4]);
  });
});
