import { splitOf } from './measure';

describe('split.json', () => {
  const fail = (line: string): never => {
    throw new Error(line);
  };
  const record = (ms: number | null): object => ({
    madeFrom: '3',
    measuredAt: { rows: 1, length: 128 },
    stages: [1, ms].map((each) => ({ weightsBytes: 4, ms: each, nodes: 2 })),
    cuts: [{ bytes: 8 }],
  });
  const read = (content: unknown, say: (line: string) => void = fail, version = '3'): ReturnType<typeof splitOf> =>
    splitOf({ text: JSON.stringify(content), path: 'split.json', version, shape: { rows: 2, length: 64 } }, say);

  it('gives stages, and what goes from one to the next in runs of another size', () => {
    const stages = [1, 2].map((ms) => ({ ms, weightsBytes: 4 }));
    expect(read(record(2))).toEqual({ stages, cutBytes: [8] });
    expect(read({ ...record(2), measuredAt: { rows: 1, length: 16 } })).toEqual({ stages, cutBytes: [64] });
    expect(read({ ...record(2), measuredAt: { rows: 1, length: 1 } })).toEqual({ stages, cutBytes: [16] });
  });

  it('says that stages cannot be predicted where one was not measured, or where they are of another version', () => {
    const said: string[] = [];
    expect(read(record(null), (line) => said.push(line))).toBeNull();
    expect(read(record(2), (line) => said.push(line), '4')).toBeNull();
    expect(said).toEqual([
      expect.stringMatching(/without a time.*stages cannot be predicted/),
      expect.stringMatching(/made from version 3.*split the model again/),
    ]);
  });

  it('is refused where it is no such file', () => {
    for (const other of ['{', {}]) expect(() => read(other)).toThrow('expected what interleave split writes');
  });
});
