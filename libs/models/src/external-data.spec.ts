import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encoderTiny, splade } from '../../../tools/model-builder/src/text-models';
import { externalDataOf } from './external-data';
import { protobufField as field } from './testing/protobuf-field';

const tensor = (location: string): Buffer =>
  Buffer.concat([field(13, field(1, 'offset'), field(2, '4096')), field(13, field(1, 'location'), field(2, location)), field(8, 'name')]);

describe('externalDataOf', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-external-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  function dataOf(graph: Uint8Array): string[] {
    const path = join(folder, 'model.onnx');
    writeFileSync(path, graph);
    return externalDataOf(path);
  }

  it('finds none in graphs that hold their weights', () => {
    expect(dataOf(splade()['model.onnx'] ?? Buffer.of())).toEqual([]);
    expect(dataOf(encoderTiny()['model.onnx'] ?? Buffer.of())).toEqual([]);
  });

  it('finds each file once, wherever a graph has tensors', () => {
    const attribute = (...content: Uint8Array[]): Buffer => field(1, field(5, ...content));
    const graph = field(
      7,
      field(5, tensor('weights')),
      field(5, tensor('weights')),
      attribute(field(5, tensor('of/attribute'))),
      attribute(field(10, tensor('of-list'))),
      attribute(field(6, field(5, tensor('of-subgraph')))),
      attribute(field(22, field(1, tensor('sparse')))),
      field(15, field(2, tensor('indices'))),
    );
    const functions = field(25, field(7, field(5, field(5, tensor('of-function')))));
    const other = Buffer.concat([Buffer.from([1 * 8, 0x88, 0x01]), field(2, 'producer'), Buffer.from([3 * 8 + 1, ...Buffer.alloc(8)])]);
    expect(dataOf(Buffer.concat([other, graph, functions]))).toEqual([
      'weights',
      'of/attribute',
      'of-list',
      'of-subgraph',
      'sparse',
      'indices',
      'of-function',
    ]);
  });

  it.each([
    ['text', Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
    ['nothing', Buffer.of()],
    ['a part of a graph', Buffer.from(splade()['model.onnx'] ?? Buffer.of()).subarray(0, 1000)],
    ['no graph', field(2, 'producer')],
    ['a number without end', Buffer.alloc(20, 0xff)],
    ['a field that is longer than what holds it', field(7, Buffer.from([5 * 8 + 2, 100, 0]))],
    ['levels without end', Array.from({ length: 100 }).reduce<Buffer>((inner) => field(1, field(5, field(6, inner))), Buffer.of())],
  ])('refuses %s', (what, graph) => {
    const bytes = what.startsWith('levels') ? field(7, graph) : graph;
    expect(() => dataOf(bytes)).toThrow(/model\.onnx: expected an ONNX graph: /);
  });
});
