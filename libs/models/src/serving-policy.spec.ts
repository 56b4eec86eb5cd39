import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelManifest } from './manifest';
import { readPolicy } from './serving-policy';

describe('readPolicy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'il-policy-'));
  const modelPath = join(folder, 'model.onnx');
  afterAll(() => rmSync(folder, { recursive: true }));

  const cache = { bytesMax: 1024, ttlSeconds: 1, deterministic: false };
  const read = async (over: Partial<ModelManifest>): Promise<{ cache: unknown; warnings: string[] }> => {
    const manifest = { modelPath, cache, deduplicate: true, degrade: [], text: null, warnings: [], ...over } as unknown as ModelManifest;
    return { cache: (await readPolicy(manifest, { comparesTokenizers: false })).cache, warnings: manifest.warnings };
  };

  it('keeps no answers of a graph whose steps other nodes run, whatever its owner says', async () => {
    const graph = { steps: [{ fleet: true }], outputs: [] } as unknown as ModelManifest['graph'];
    const deterministic = { ...cache, deterministic: true };
    expect(await read({ cache: deterministic, modelPath: null, graph })).toEqual({
      cache: null,
      warnings: [expect.stringMatching(/other nodes change the files/)],
    });
  });

  it('keeps the cache of a graph without operators that draw random numbers', async () => {
    writeFileSync(modelPath, 'MatMul dropout_1 Softmax');
    expect(await read({})).toEqual({ cache, warnings: [] });
  });

  it('turns it off where the owner says that equal inputs have other answers', async () => {
    writeFileSync(modelPath, 'MatMul');
    expect(await read({ deduplicate: false })).toEqual({ cache: null, warnings: [expect.stringMatching(/because deduplicate is false/)] });
  });

  it('tells models apart by their labels, also those that take tensors only', async () => {
    const headOf = async (over: Partial<ModelManifest>): Promise<string | null> => {
      const manifest = { modelPath, cache: null, degrade: [], text: null, labels: null, warnings: [], ...over } as unknown as ModelManifest;
      return (await readPolicy(manifest, { comparesTokenizers: false })).head;
    };
    const [plain, yesNo, noYes] = [await headOf({}), await headOf({ labels: ['yes', 'no'] }), await headOf({ labels: ['no', 'yes'] })];
    expect(new Set([plain, yesNo, noYes]).size).toBe(3);
    expect(await headOf({ labels: ['yes', 'no'] })).toBe(yesNo);
    const softmax = await headOf({ labels: ['yes', 'no'], text: { activation: 'softmax' } as ModelManifest['text'] });
    expect(softmax).not.toBe(yesNo);
  });

  it('warns of a step that is never taken', async () => {
    const { warnings } = await read({ cache: null, degrade: [{ kind: 'cached' }] });
    expect(warnings).toEqual([expect.stringMatching(/"cached" of degrade/)]);
  });

  it.each(['RandomNormalLike', 'Multinomial', 'Bernoulli', 'Dropout', 'Sampling'])(
    'turns it off for %s, also across parts of the file',
    async (name) => {
      writeFileSync(modelPath, Buffer.concat([Buffer.alloc(1024 * 1024 - 4), Buffer.from(name)]));
      expect(await read({})).toEqual({ cache: null, warnings: [expect.stringMatching(/cache is off .* set cache\.deterministic: true/)] });
      const stated = { ...cache, deterministic: true };
      expect(await read({ cache: stated })).toEqual({ cache: stated, warnings: [] });
    },
  );
});
