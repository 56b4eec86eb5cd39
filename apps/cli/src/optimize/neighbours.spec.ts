import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import type { ModelSignature } from '@app/contracts';
import { GraphBuilder } from '../../../../tools/model-builder/src/graph';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { encodeModel } from '../../../../tools/model-builder/src/onnx-schema';
import { madeUpInstances } from '../instances';
import { findModel, LocalNode, type LocalModel } from '../local-node';
import { testCompany, type Company } from './neighbours';

/** As dynamic INT8 does: scales are taken from all rows of the run. */
function dynamicQuantization(): Uint8Array {
  const b = new GraphBuilder('dynamic');
  const quantized = b.op('DynamicQuantizeLinear', [b.input('x', 'FP32', ['batch', 4])]);
  b.output('y', 'FP32', ['batch', 4], b.op('DequantizeLinear', [quantized, 'scale', 'point']));
  const graph = b.graph();
  graph.node[0]?.output?.push('scale', 'point');
  return encodeModel(graph);
}

describe('rows beside others', () => {
  let root: string;
  let node: LocalNode | null = null;
  const environment = (): NodeJS.ProcessEnv => ({ DATA_DIR: join(root, 'data') });
  const modelsDir = (): string => join(root, 'models');

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'neighbours-'));
  });
  afterEach(async () => {
    await node?.close();
    node = null;
    rmSync(root, { recursive: true, force: true });
  });

  /** What the worker says of the model, and what company does to its rows. */
  async function companyOf(name: string): Promise<{ signature: ModelSignature; company: Company[] }> {
    node = await LocalNode.start({ config: loadConfig(environment()), modelsDir: modelsDir() });
    const model: LocalModel = findModel(node, '1');
    const served = node.catalog.find(name, '1');
    const items = [];
    for (const instance of madeUpInstances(served)) items.push(...(await node.prepare(model, [instance])).items);
    const { padValues = {} } = model.entry.manifest ?? {};
    return { signature: served.signature, company: await testCompany(node, model, items, { signature: served.signature, padValues }) };
  }

  const write = (name: string, graph: Uint8Array, settings = ''): void => {
    mkdirSync(join(modelsDir(), name, '1'), { recursive: true });
    writeFileSync(join(modelsDir(), name, '1/model.onnx'), graph);
    writeFileSync(join(modelsDir(), name, '1/model.yaml'), settings);
  };

  it('are found to change answers where scales are taken from the whole run, which the worker never merges by itself', async () => {
    write('dynamic', dynamicQuantization());
    const { signature, company } = await companyOf('dynamic');
    expect([signature.coalesce, signature.coalesceReason]).toEqual([
      'alone',
      expect.stringMatching(/DynamicQuantizeLinear.*all rows together/),
    ]);
    expect(company).toEqual([{ with: 'equal-length', isIdentical: false, isIndependent: false, difference: expect.any(Number) }]);
    expect(company[0]?.difference).toBeGreaterThan(1e-3);
  });

  it('run alone where the model.yaml of the version says so', async () => {
    write('dynamic', dynamicQuantization(), 'mergeRows: never\n');
    writeFileSync(join(modelsDir(), 'dynamic/model.yaml'), 'mergeRows: always\n');
    const { signature } = await companyOf('dynamic');
    expect([signature.coalesce, signature.coalesceReason]).toEqual(['alone', 'model.yaml says mergeRows: never']);
  });

  it.each(['classifier', 'two-axes', 'half', 'types'])('leave the answers of %s as they are', async (name) => {
    buildModels(modelsDir(), [name]);
    const { company } = await companyOf(name);
    expect(company.length).toBeGreaterThan(0);
    expect(company.filter(({ isIndependent }) => !isIndependent)).toEqual([]);
  });

  it('are told apart by length: without a mask, padding changes answers', async () => {
    buildModels(modelsDir(), ['no-mask']);
    const { signature, company } = await companyOf('no-mask');
    expect(signature.coalesce).toBe('equal-length');
    expect(company.map(({ with: kind, isIndependent }) => [kind, isIndependent])).toEqual([
      ['equal-length', true],
      ['padded', false],
    ]);
  });

  it('do not exist for a model of one row', async () => {
    buildModels(modelsDir(), ['no-batch']);
    expect((await companyOf('no-batch')).company).toEqual([{ with: 'none', isIdentical: true, isIndependent: true, difference: 0 }]);
  });
});
