import { splitOf } from './measure';

describe('split.json', () => {
  const fail = (line: string): never => {
    throw new Error(line);
  };
  const record = (ms: number | null): object => ({
    madeFrom: '3',
    madeFromSha256: 'a1',
    measuredAt: { rows: 1, length: 128 },
    stages: [1, ms].map((each) => ({ weightsBytes: 4, ms: each, nodes: 2 })),
    cuts: [{ bytes: 8 }],
  });
  const read = (content: unknown, say: (line: string) => void = fail, version = '3', sha256 = 'a1'): ReturnType<typeof splitOf> =>
    splitOf({ text: JSON.stringify(content), path: 'split.json', version, sha256, shape: { rows: 2, length: 64 } }, say);

  it('gives stages, and what goes from one to the next in runs of another size', () => {
    const stages = [1, 2].map((ms) => ({ ms, weightsBytes: 4 }));
    expect(read(record(2))).toEqual({ stages, cutBytes: [8] });
    expect(read({ ...record(2), measuredAt: { rows: 1, length: 16 } })).toEqual({ stages, cutBytes: [64] });
    expect(read({ ...record(2), measuredAt: { rows: 1, length: 1 } })).toEqual({ stages, cutBytes: [16] });
  });

  it('says that stages cannot be predicted where one was not measured, where they are of other files, and where it is no such file', () => {
    const said: string[] = [];
    expect(read(record(null), (line) => said.push(line))).toBeNull();
    expect(read(record(2), (line) => said.push(line), '4')).toBeNull();
    expect(read(record(2), (line) => said.push(line), '3', 'b2')).toBeNull();
    for (const other of ['{', {}]) expect(read(other, (line) => said.push(line))).toBeNull();
    expect(said).toEqual([
      expect.stringMatching(/without a time.*stages cannot be predicted/),
      expect.stringMatching(/made from version 3.*split the model again/),
      expect.stringMatching(/made from other files than those of version 3 now/),
      ...Array.from({ length: 2 }, () => expect.stringContaining('is not what interleave split writes')),
    ]);
  });
});
