import { mayTakeBatchWork } from './batch-work';

const node = (formatVersions: Record<string, number>) => ({ id: 'other', version: '0.9.0', formatVersions });
const KNOWN = { manifest: 2, results: 1, queue: 1 };

describe('mayTakeBatchWork', () => {
  it.each([
    ['no node', []],
    ['nodes of this release', [node(KNOWN), node(KNOWN)]],
    ['an older node', [node({ manifest: 1, results: 1 })]],
    ['a node that says nothing', [node({})]],
  ])('says yes beside %s', (_what, nodes) => {
    expect(mayTakeBatchWork(nodes, KNOWN)).toBeNull();
  });

  it.each([
    [{ ...KNOWN, manifest: 3 }, /node other \(Interleave 0\.9\.0\) writes version 3 of manifest, and this one reads 2; upgrade this node/],
    [{ ...KNOWN, parts: 1 }, /version 1 of parts, and this one reads none/],
    [{ ...KNOWN, constructor: 1 }, /version 1 of constructor, and this one reads none/],
  ])('says why not beside %j', (formatVersions, reason) => {
    expect(mayTakeBatchWork([node(KNOWN), node(formatVersions)], KNOWN)).toMatch(reason);
  });
});
