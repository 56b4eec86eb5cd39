import { Bag } from './bag';

describe('Bag', () => {
  it('has what was added and not removed', () => {
    const members = Array.from({ length: 5 }, (_, id) => ({ id, place: -1 }));
    const bag = new Bag<(typeof members)[number]>();
    const ids = (): number[] => [...bag].map(({ id }) => id).sort();
    for (const member of members) bag.add(member);
    for (const id of [1, 4, 1, 0]) bag.remove(members[id] as (typeof members)[number]);
    expect(ids()).toEqual([2, 3]);
    bag.add(members[1] as (typeof members)[number]);
    bag.remove(members[3] as (typeof members)[number]);
    expect(ids()).toEqual([1, 2]);
  });

  it('goes through all that were there at first', () => {
    const members = [1, 2, 3].map((id) => ({ id, place: -1 }));
    const bag = new Bag<(typeof members)[number]>();
    for (const member of members) bag.add(member);
    const seen: number[] = [];
    for (const member of bag) {
      seen.push(member.id);
      bag.remove(member);
    }
    expect(seen).toEqual([1, 2, 3]);
    expect([...bag]).toEqual([]);
  });
});
