/**
 * Objects that come and go, in no order. Not a Set: V8 cleans one by making a new table, and the one before, once it lies among old
 * objects, keeps what was in it alive until the whole heap is collected.
 */
export class Bag<T extends { place: number }> implements Iterable<T> {
  private readonly members: T[] = [];

  add(member: T): void {
    member.place = this.members.push(member) - 1;
  }

  /** Nothing where it is not there: its place is -1 then. */
  remove(member: T): void {
    const { place } = member;
    if (place < 0) return;
    member.place = -1;
    const last = this.members.pop() as T;
    if (last === member) return;
    this.members[place] = last;
    last.place = place;
  }

  /** Those that are there now, whatever becomes of them meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.members][Symbol.iterator]();
  }
}
