import { splitOf } from './measure';

describe('split.json', () => {
  const text = (ms: number | null): string =>
    JSON.stringify({ stages: [1, ms].map((each) => ({ weightsBytes: 4, ms: each, nodes: 2 })), cuts: [{ bytes: 8 }] });

  it('gives stages and cuts', () => {
    const stages = [1, 2].map((ms) => ({ ms, weightsBytes: 4 }));
    expect(splitOf(text(2), 'split.json')).toEqual({ stages, cutBytes: [8] });
  });

  it('is refused where a stage was not measured, or it is no such file', () => {
    expect(() => splitOf(text(null), 'split.json')).toThrow('stage 2 could not be measured');
    for (const other of ['{', '{}']) expect(() => splitOf(other, 'split.json')).toThrow('expected what interleave split writes');
  });
});
