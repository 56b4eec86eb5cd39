import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOnnxFile } from '@app/onnx-file';
import { GraphBuilder } from '../../../../tools/model-builder/src/graph';
import { findCuts } from './candidates';

const DIMS = ['batch', 4];
const AXES = [{ name: 'batch', sizes: [2, 3, 1] }];

describe('findCuts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'il-candidates-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Where `b` may be cut, by what is carried there. Abs takes no time, any other node all of it. */
  function carried(b: GraphBuilder): string[][] {
    const path = join(folder, 'model.onnx');
    writeFileSync(path, b.encode());
    const { graph } = readOnnxFile(path);
    const seen = { datatype: 'FP32' as const, shapes: [2, 3, 1].map((rows) => [rows, 4]) };
    const nodes = graph.nodes.map((node) => {
      return { node, us: node.operator === 'Abs' ? 0 : 100, outputs: new Map(node.outputs.map((name) => [name, seen])) };
    });
    const totalUs = nodes.reduce((sum, { us }) => sum + us, 0);
    const cuts = findCuts({ graph, nodes, totalUs }, { original: graph, axes: AXES, rowAxis: 'batch' });
    return cuts.map(({ values }) => values.map(({ name }) => name));
  }

  it('does not cut where the stage before would give nothing', () => {
    const b = new GraphBuilder('cheap start');
    const cheap = b.op('Abs', [b.input('x', 'FP32', DIMS)]);
    const first = b.op('Tanh', [cheap]);
    const second = b.op('Softmax', [first]);
    b.output('y', 'FP32', DIMS, second);
    expect(carried(b)).toEqual([[first], [second]]);
  });

  it('cuts where the stage before gives an output of the whole', () => {
    const b = new GraphBuilder('two ways');
    const x = b.input('x', 'FP32', DIMS);
    const first = b.op('Tanh', [x]);
    b.output('y', 'FP32', DIMS, first);
    const second = b.op('Softmax', [x]);
    b.output('z', 'FP32', DIMS, second);
    expect(carried(b)).toEqual([[first], [], [second]]);
  });

  it('does not cut where all since the last output is cheap', () => {
    const b = new GraphBuilder('two ways, a cheap start of the second one');
    const x = b.input('x', 'FP32', DIMS);
    const first = b.op('Tanh', [x]);
    b.output('y', 'FP32', DIMS, first);
    const second = b.op('Softmax', [b.op('Abs', [x])]);
    b.output('z', 'FP32', DIMS, second);
    expect(carried(b)).toEqual([[first], [], [second]]);
  });
});
