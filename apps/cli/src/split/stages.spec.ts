import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InterleaveError, type Tensor } from '@app/contracts';
import { readOnnxFile, writeOnnxPart, type OnnxFile } from '@app/onnx-file';
import { OrtBackend } from '../../../../test/fixtures/ort-backend';
import { GraphBuilder } from '../../../../tools/model-builder/src/graph';
import { Random } from '../../../../tools/model-builder/src/random';
import { findCuts, type Cut } from './candidates';
import type { Profile } from './profile';
import { cutWithSizes, divide, withSizes, type Stage } from './stages';

const WIDTH = 4;
const NODES = 12;
const GRAPHS = 5;
const CUTS_PER_GRAPH = 2;
const AXES = [{ name: 'batch', sizes: [2, 3, 1] }];
const SEED = Date.now() % 2 ** 31;

/** Nodes that take any values made before them: long ways, forks, weights that many share, values that no one takes. */
function randomGraph(random: Random): Uint8Array {
  const b = new GraphBuilder('random');
  const pick = (names: readonly string[]): string => names[random.nextUint32() % names.length] as string;
  const values = [b.input('x', 'FP32', ['batch', WIDTH]), b.input('y', 'FP32', ['batch', WIDTH])];
  const weights = [b.weight('w', [WIDTH], 1), b.weight('tied', [WIDTH], 1)];
  for (let i = 0; i < NODES; i++) {
    const type = pick(['Add', 'Mul', 'Sub', 'Tanh', 'Abs', 'Softmax']);
    const takesTwo = ['Add', 'Mul', 'Sub'].includes(type);
    values.push(b.op(type, takesTwo ? [pick(values), pick([...values, ...weights])] : [pick(values)]));
  }
  b.output('last', 'FP32', ['batch', WIDTH], values.at(-1) as string);
  b.output('any', 'FP32', ['batch', WIDTH], pick(values.slice(2)));
  return b.encode();
}

/** As if the runtime ran the graph as it is, each node for the same time, without what no output needs. */
function profileOf({ graph }: OnnxFile): Profile {
  const seen = { datatype: 'FP32' as const, shapes: AXES.flatMap(({ sizes }) => sizes.map((rows) => [rows, WIDTH])) };
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const live = graph.nodes.toReversed().filter((node) => {
    const isLive = node.outputs.some((name) => needed.has(name));
    if (isLive) for (const name of node.inputs) needed.add(name);
    return isLive;
  });
  const nodes = live.toReversed().map((node) => ({ node, us: 1, outputs: new Map(node.outputs.map((name) => [name, seen])) }));
  return { graph, nodes, totalUs: nodes.length };
}

const tensor = (name: string, seed: string): Tensor => {
  const data = new Random(seed).uniform(2 * WIDTH, 1);
  return { name, datatype: 'FP32', shape: [2, WIDTH], data: new Uint8Array(data.buffer) };
};

describe('divide', () => {
  const folder = mkdtempSync(join(tmpdir(), 'il-stages-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it(`gives stages that answer as the whole graph, wherever it is cut (seed ${SEED})`, async () => {
    const random = new Random(`${SEED}`);
    const models: { name: string; version: string; path: string }[] = [];
    const chains: { whole: string; stages: { model: string; inputs: string[]; outputs: string[] }[] }[] = [];
    for (let g = 0; g < GRAPHS; g++) {
      const path = join(folder, `${g}`, 'model.onnx');
      mkdirSync(join(folder, `${g}`));
      writeFileSync(path, randomGraph(random));
      models.push({ name: `${g}`, version: '1', path });
      const file = readOnnxFile(path);
      const profile = profileOf(file);
      const places = findCuts(profile, { original: file.graph, axes: AXES, rowAxis: 'batch' });
      for (let c = 0; c < CUTS_PER_GRAPH; c++) {
        const [first, second] = [random, random].map((r) => places[r.nextUint32() % places.length]).sort((a, b) => a!.after - b!.after);
        if (first === undefined || second === undefined || first === second) continue;
        const stages = divide(file, profile, [first, second], true).map(({ part }, i) => {
          const model = `${g}-${c}-${i}`;
          writeOnnxPart(file, part, join(folder, model, 'model.onnx'));
          models.push({ name: model, version: '1', path: join(folder, model, 'model.onnx') });
          return { model, inputs: part.inputs.map(({ name }) => name), outputs: part.outputs.map(({ name }) => name) };
        });
        chains.push({ whole: `${g}`, stages });
      }
    }
    const backend = await OrtBackend.load(models);
    const run = async (model: string, inputs: Tensor[]): Promise<Tensor[]> => {
      const [result] = await backend.infer({
        model,
        version: '1',
        items: [{ inputs, outputs: null }],
        timeoutMs: null,
        priority: 0,
        signal: null,
      });
      if (result === undefined || result instanceof InterleaveError) throw result ?? new Error('no result');
      return result.outputs;
    };
    try {
      for (const { whole, stages } of chains) {
        const inputs = [tensor('x', 'x'), tensor('y', 'y')];
        const used = readOnnxFile(join(folder, whole, 'model.onnx')).graph.inputs.map(({ name }) => name);
        const flow = new Map(inputs.map((each) => [each.name, each]));
        for (const stage of stages)
          for (const output of await run(
            stage.model,
            stage.inputs.map((name) => flow.get(name) as Tensor),
          ))
            flow.set(output.name, output);
        for (const { name, data } of await run(
          whole,
          inputs.filter((each) => used.includes(each.name)),
        ))
          expect(Buffer.from(flow.get(name)?.data ?? []).equals(Buffer.from(data))).toBe(true);
      }
      expect(chains.length).toBeGreaterThan(0);
    } finally {
      await backend.close();
    }
  });

  it('gives only what a later stage takes', () => {
    const b = new GraphBuilder('unused');
    const x = b.input('x', 'FP32', ['batch', WIDTH]);
    const early = b.op('Tanh', [x]);
    const unused = b.op('Exp', [x]);
    b.output('y', 'FP32', ['batch', WIDTH], b.op('Abs', [early]));
    const path = join(folder, 'unused.onnx');
    writeFileSync(path, b.encode());
    const file = readOnnxFile(path);
    const values = [early, unused].map((name) => ({ name, elementType: 1, datatype: 'FP32' as const, dims: ['batch', WIDTH], bytes: 4 }));
    const node = (name: string): Profile['nodes'][number] => ({
      node: file.graph.nodes.find(({ outputs }) => outputs.includes(name)) as never,
      us: 1,
      outputs: new Map(),
    });
    const profile = { graph: file.graph, nodes: [node(early), node(unused)], totalUs: 3 };
    const [first] = divide(file, profile, [{ after: 1, us: 2, values, bytes: 8 }], false);
    expect(first?.part.outputs.map(({ name }) => name)).toEqual([early]);
  });

  it('makes cheap values again, and carries what no later stage can make', () => {
    const b = new GraphBuilder('masked');
    const x = b.input('x', 'FP32', ['batch', WIDTH]);
    const bias = b.op('Sub', [b.scalar(1), b.input('mask', 'FP32', ['batch', WIDTH])]);
    const early = b.op('Add', [b.op('Tanh', [x]), bias]);
    b.output('y', 'FP32', ['batch', WIDTH], b.op('Mul', [b.op('Exp', [early]), bias]));
    const path = join(folder, 'masked.onnx');
    writeFileSync(path, b.encode());
    const file = readOnnxFile(path);
    const profile = profileOf(file);
    for (const each of profile.nodes) each.us = ['Tanh', 'Exp'].includes(each.node.operator) ? 1000 : 1;
    profile.totalUs = profile.nodes.reduce((sum, { us }) => sum + us, 0);
    const cut = findCuts(profile, { original: file.graph, axes: AXES, rowAxis: 'batch' }).find(({ after }) => after === 2);
    expect(cut?.values).toMatchObject([{ name: early, datatype: 'FP32', dims: ['batch', WIDTH] }]);
    const [, last] = divide(file, profile, [cut as never], false);
    expect(last?.inputs).toEqual(['mask']);
    expect(last?.part.nodes.map(({ operator }) => operator)).toEqual(['Sub', 'Exp', 'Mul', 'Identity']);
    expect(last?.part.inputs.map(({ dims }) => dims)).toEqual([
      ['batch', WIDTH],
      [null, null],
    ]);
    const sized = withSizes(last as Stage, new Map([[early, [-1, WIDTH]]]));
    expect(sized.part.inputs.at(-1)?.dims).toEqual([null, WIDTH]);
    const dimsWith = (size: number): unknown => cutWithSizes(cut as Cut, new Map([[early, [-1, size]]])).values[0]?.dims;
    expect([dimsWith(WIDTH), dimsWith(-1)]).toEqual([
      ['batch', WIDTH],
      ['batch', null],
    ]);
  });
});
