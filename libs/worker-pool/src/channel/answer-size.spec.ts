import { AnswerSize } from './answer-size';

describe('AnswerSize', () => {
  it('knows nothing at first', () => {
    expect(new AnswerSize().expect(1000)).toBe(0);
  });

  it('grows with the input, up to the largest answer so far', () => {
    const size = new AnswerSize();
    size.learn(100, 20_000);
    expect(size.expect(50)).toBe(10_000);
    expect(size.expect(100)).toBe(20_000);
    expect(size.expect(1_000_000)).toBe(20_000);
    size.learn(1000, 200_000);
    expect(size.expect(500)).toBe(100_000);
  });

  it('takes an input without bytes', () => {
    const size = new AnswerSize();
    size.learn(0, 70_000);
    expect(size.expect(0)).toBe(70_000);
  });
});
