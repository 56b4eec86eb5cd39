import { InterleaveError } from '@app/contracts';
import fc from 'fast-check';
import { ItemCount } from './item-count';

const refusal = (act: () => void): InterleaveError | null => {
  try {
    act();
    return null;
  } catch (error) {
    return error as InterleaveError;
  }
};

describe('ItemCount', () => {
  let nowMs = 0;
  const admissionOf = (itemsMax: number) => new ItemCount({ itemsMax: () => itemsMax, nowMs: () => nowMs });

  it('takes all items of a request or none, and never more than the limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 25 }))), (itemsMax, steps) => {
        const admission = admissionOf(itemsMax);
        const inFlight: number[] = [];
        for (const [arrives, items] of steps) {
          const before = inFlight.reduce((sum, count) => sum + count, 0);
          if (arrives) {
            const refused = refusal(() => admission.admit(items));
            expect(refused?.code ?? 'admitted').toBe(
              items > itemsMax ? 'too_large' : before + items > itemsMax ? 'overloaded' : 'admitted',
            );
            if (refused === null) inFlight.push(items);
          } else {
            admission.release(inFlight.shift() ?? 0, true);
          }
          expect(admission.inFlight).toBe(inFlight.reduce((sum, count) => sum + count, 0));
        }
      }),
    );
  });

  it('refuses before the body only when nothing more has room', () => {
    const admission = admissionOf(2);
    admission.admit(1);
    expect(refusal(() => admission.checkRoom(0))).toBeNull();
    admission.admit(1);
    expect(refusal(() => admission.checkRoom(0))?.code).toBe('overloaded');
  });

  it('says when there will be room, from how fast items were answered', () => {
    const admission = admissionOf(100);
    nowMs = 0;
    admission.admit(100);
    nowMs = 4000;
    admission.release(4, true); // one item a second
    admission.admit(4);
    expect(refusal(() => admission.admit(7))?.retryAfterSeconds).toBe(7);
    expect(refusal(() => admission.admit(100))?.retryAfterSeconds).toBe(60);
  });

  it('says one second while it knows no better', () => {
    const admission = admissionOf(1);
    admission.admit(1);
    expect(refusal(() => admission.admit(1))?.retryAfterSeconds).toBe(1);
  });

  it('learns nothing from items that were given up', () => {
    const admission = admissionOf(10);
    nowMs = 0;
    admission.admit(10);
    nowMs = 1_000_000;
    admission.release(9, false);
    admission.admit(9);
    expect(refusal(() => admission.admit(10))?.retryAfterSeconds).toBe(1);
  });
});
