import { BoundedLabel } from './bounded-label';

describe('a label that may grow', () => {
  it('keeps the first values and counts later ones together', () => {
    const label = new BoundedLabel(2);
    expect(['a', 'b', 'a', 'c', 'd', 'b'].map((value) => label.of(value))).toEqual(['a', 'b', 'a', 'other', 'other', 'b']);
  });
});
