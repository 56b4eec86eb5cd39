import { budgetOf } from './gate';

describe('budgetOf', () => {
  it('leaves the baseline of an idle server', () => expect(budgetOf(0, 32)).toBe(30));

  it('shrinks by what is at the server', () => expect(budgetOf(16, 32)).toBe(14));

  it('is closed when the server is full, or more than full', () => {
    expect(budgetOf(31, 32)).toBe(0);
    expect(budgetOf(100, 32)).toBe(0);
  });
});
