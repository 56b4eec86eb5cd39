import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '@app/contracts';
import { GraphBuilder } from '../../../../tools/model-builder/src/graph';
import { encodeModel, type OnnxNode } from '../../../../tools/model-builder/src/onnx-schema';
import { profileModel } from './profile';

const ROWS = [2, 1];

describe('profileModel', () => {
  const folder = mkdtempSync(join(tmpdir(), 'il-profile-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('finds each node, though the runtime runs them in another order than the graph has them', async () => {
    const b = new GraphBuilder('branches');
    for (const [input, output, width] of [
      ['x', 'first', 3],
      ['y', 'second', 5],
    ] as const) {
      b.output(output, 'FP32', ['batch', width], b.input(input, 'FP32', ['batch', width]));
    }
    const node = (opType: string, input: string, output: string): OnnxNode => {
      return { opType, input: [input], output: [output], name: `to ${output}`, attribute: [], domain: '' };
    };
    // The runtime, which changes nothing here, writes the nodes in this order and begins with the last one.
    const nodes = [node('Abs', 'x', 'abs'), node('Tanh', 'abs', 'first'), node('Neg', 'y', 'second')];
    const path = join(folder, 'model.onnx');
    writeFileSync(path, encodeModel({ ...b.graph(), node: nodes }));
    const zeros = (name: string, shape: [number, number]): Tensor => ({
      name,
      datatype: 'FP32',
      shape,
      data: new Uint8Array(4 * shape[0] * shape[1]),
    });
    const runs = ROWS.map((rows) => [zeros('x', [rows, 3]), zeros('y', [rows, 5])]);

    const profile = await profileModel(path, { runs, axes: [], rows: 1, length: 1, rowAxis: 'batch' }, folder);

    const seen = profile.nodes.map(({ node, outputs }) => [node.operator, [...outputs.values()][0]?.shapes]);
    expect(seen).toEqual([
      ['Abs', ROWS.map((rows) => [rows, 3])],
      ['Tanh', ROWS.map((rows) => [rows, 3])],
      ['Neg', ROWS.map((rows) => [rows, 5])],
    ]);
  });
});
