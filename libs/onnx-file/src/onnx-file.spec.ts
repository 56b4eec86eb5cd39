import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { externalise } from '../../../test/fixtures/externalise';
import { endless } from '../../../tools/model-builder/src/bad-models';
import { twoAxes } from '../../../tools/model-builder/src/tensor-models';
import { ExternalFiles, lengthField, readOnnxFile, writeOnnxPart, type OnnxFile } from './index';

describe('an ONNX file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'il-onnx-'));
  const path = join(folder, 'two-axes.onnx');
  const loopPath = join(folder, 'endless.onnx');
  beforeAll(() => {
    writeFileSync(path, twoAxes()['1/model.onnx'] as Uint8Array);
    writeFileSync(loopPath, endless()['1/model.onnx'] as Uint8Array);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const whole = ({ graph: { nodes, weights, inputs, outputs } }: OnnxFile): Parameters<typeof writeOnnxPart>[1] => ({
    nodes,
    weights,
    inputs,
    outputs,
  });
  const namesOf = ({ graph }: OnnxFile): unknown => ({
    nodes: graph.nodes.map(({ name, operator, domain, inputs, outputs }) => ({ name, operator, domain, inputs, outputs })),
    weights: graph.weights.map(({ name, bytes }) => ({ name, bytes })),
    inputs: graph.inputs.map(({ name, elementType, dims }) => ({ name, elementType, dims })),
    outputs: graph.outputs.map(({ name, elementType, dims }) => ({ name, elementType, dims })),
  });

  it('tells nodes, weights and what goes in and out', () => {
    const { graph } = readOnnxFile(path);
    expect(graph.inputs[0]).toMatchObject({ name: 'input_ids', elementType: 7, dims: ['batch', 'sequence'] });
    expect(graph.outputs[0]).toMatchObject({ name: 'attention', elementType: 1, dims: ['batch', 'query', 'sequence'] });
    expect(graph.weights.find(({ name }) => name === 'document.embeddings.word')?.bytes).toBe(1000 * 32 * 4);
    expect(graph.nodes.at(-1)).toMatchObject({ operator: 'Identity', outputs: ['score'] });
  });

  it('counts what a subgraph takes of the graph around it among the inputs of its node', () => {
    const { graph } = readOnnxFile(loopPath);
    const loop = graph.nodes.find(({ operator }) => operator === 'Loop');
    const used = graph.nodes.filter(({ operator }) => ['ReduceMax', 'Less'].includes(operator)).flatMap(({ outputs }) => outputs);
    expect(loop?.inputs).toEqual(expect.arrayContaining(used.slice(0, 2)));
    expect(loop?.inputs.some((name) => name.startsWith('body_'))).toBe(false);
  });

  it('is refused where one node has more names than any model has in all', () => {
    const node = lengthField(1, Buffer.alloc(4_000_002, Buffer.from([0x12, 0x00]))); // outputs
    writeFileSync(join(folder, 'many.onnx'), lengthField(7, node));
    expect(() => readOnnxFile(join(folder, 'many.onnx'))).toThrow('more than 2000000 nodes, weights, values and names');
  });

  it('is written byte by byte as it was, in parts of the same names', () => {
    const file = readOnnxFile(path);
    const copy = join(folder, 'copy', 'model.onnx');
    writeOnnxPart(file, whole(file), copy);
    expect(namesOf(readOnnxFile(copy))).toEqual(namesOf(file));
    expect(statSync(copy).size).toBe(statSync(path).size);
  });

  it('keeps weights of other files in one other file, at whole pages', () => {
    mkdirSync(join(folder, 'external'));
    const external = join(folder, 'external', 'model.onnx');
    externalise(path, external, { location: 'weights.bin' });
    const file = readOnnxFile(external);
    const copy = join(folder, 'external-copy', 'model.onnx');
    writeOnnxPart(file, whole(file), copy);
    const copied = readOnnxFile(copy);
    expect(namesOf(copied)).toEqual(namesOf(file));
    const bytesOf = (from: OnnxFile, name: string): Buffer => {
      const weight = from.graph.weights.find((each) => each.name === name);
      const { path: at, span } = new ExternalFiles(from).locate(weight as never, weight?.external as never);
      expect(from !== copied || span.start % 4096 === 0).toBe(true);
      return readFileSync(at).subarray(span.start, span.end);
    };
    const names = file.graph.weights.filter((weight) => weight.external !== null).map(({ name }) => name);
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) expect(bytesOf(copied, name).equals(bytesOf(file, name))).toBe(true);
    expect(copied.graph.weights.find(({ name }) => name === names[0])?.external?.location).toBe('model.onnx.data');
  });

  it('says which file of weights is too short, missing or elsewhere', () => {
    mkdirSync(join(folder, 'broken'));
    const external = join(folder, 'broken', 'model.onnx');
    externalise(path, external, { location: 'weights.bin' });
    const file = readOnnxFile(external);
    truncateSync(join(folder, 'broken', 'weights.bin'), 1000);
    const write = (name: string): void => writeOnnxPart(file, whole(file), join(folder, name, 'model.onnx'));
    expect(() => write('x1')).toThrow(/weights\.bin: expected bytes .* but the file has 1000/);
    rmSync(join(folder, 'broken', 'weights.bin'));
    expect(() => write('x2')).toThrow(/weights\.bin: the weight ".*" lies in this file, and it is not there/);
    externalise(path, external, { location: '../elsewhere.bin' });
    const outside = readOnnxFile(external);
    expect(() => writeOnnxPart(outside, whole(outside), join(folder, 'x3', 'model.onnx'))).toThrow(/expected a path within/);
  });

  it.each([
    ['text', Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
    ['nothing', Buffer.of()],
    ['a part of a graph', Buffer.from(twoAxes()['1/model.onnx'] as Uint8Array).subarray(0, 1000)],
  ])('refuses %s', (_, bytes) => {
    const broken = join(folder, 'broken.onnx');
    writeFileSync(broken, bytes);
    expect(() => readOnnxFile(broken)).toThrow(/broken\.onnx: expected an ONNX graph: /);
  });
});
