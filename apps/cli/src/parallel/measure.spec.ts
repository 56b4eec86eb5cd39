import { splitOf } from './measure';

describe('split.json', () => {
  const fail = (line: string): never => {
    throw new Error(line);
  };
  const text = (ms: number | null): string =>
    JSON.stringify({ stages: [1, ms].map((each) => ({ weightsBytes: 4, ms: each, nodes: 2 })), cuts: [{ bytes: 8 }] });

  it('gives stages and cuts', () => {
    const stages = [1, 2].map((ms) => ({ ms, weightsBytes: 4 }));
    expect(splitOf(text(2), 'split.json', fail)).toEqual({ stages, cutBytes: [8] });
  });

  it('says that stages cannot be predicted where one was not measured', () => {
    const said: string[] = [];
    expect(splitOf(text(null), 'split.json', (line) => said.push(line))).toBeNull();
    expect(said).toEqual([expect.stringContaining('stages cannot be predicted')]);
  });

  it('is refused where it is no such file', () => {
    for (const other of ['{', '{}']) expect(() => splitOf(other, 'split.json', fail)).toThrow('expected what interleave split writes');
  });
});
