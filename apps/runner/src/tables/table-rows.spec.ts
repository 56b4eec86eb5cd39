import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBValue } from '@duckdb/node-api';
import type { EndpointKind } from '@app/protocols';
import { LineSource } from './stream-io';
import { tableRows, type ChunkHeader } from './table-rows';

const OTHER_FORM = 'The answer has another form than those of the other rows; ask for an output of JSON Lines.';

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-rows-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The rows of one chunk, all of which were answered. */
function rowsOf(endpoint: EndpointKind, inputs: object[], bodies: object[], keptCount = 0): DuckDBValue[][] {
  const header: ChunkHeader = { firstRow: 0, errors: 0, rows: inputs.length, outputs: bodies.length };
  const outputs = bodies.map((body, row) => ({ id: `batch_req_1_${row}`, response: { body } }));
  const path = join(folder, 'results');
  writeFileSync(path, [header, ...inputs, ...outputs].map((line) => JSON.stringify(line)).join('\n'));
  const fd = openSync(path, 'r');
  try {
    const kept = Array.from({ length: keptCount }, (_, i) => ({ name: `k${i}`, type: 'VARCHAR' }));
    const id = { name: 'custom_id', type: 'VARCHAR' };
    const sample = JSON.stringify(outputs[0]);
    return [...tableRows(new LineSource(fd), { kind: 'write', format: 'csv', id, kept, endpoint, sample, tablePipe: '' })];
  } finally {
    closeSync(fd);
  }
}

describe('tableRows', () => {
  const scored = (label: string): object => ({ label, score: 0.5 });

  it.each([
    ['true', true],
    ['null', null],
    ['an object', {}],
    ['texts', ['x', 'y']],
  ])('takes no notice of a keep that its writer put into a line: %s', (_, keep) => {
    const rows = rowsOf('classify', [{ custom_id: 'a', keep }], [{ data: [scored('good')] }]);
    expect(rows).toEqual([['a', 'good', 0.5, null]]);
  });

  it('says which line has not the cells that it is to keep', () => {
    expect(rowsOf('classify', [{ custom_id: 'a', keep: ['x'] }], [{ data: [scored('good')] }], 1)).toEqual([['a', 'x', 'good', 0.5, null]]);
    for (const keep of [[], ['x', 'y'], 'x', undefined])
      expect(() => rowsOf('classify', [{ custom_id: 'a', keep }], [{ data: [scored('good')] }], 1)).toThrow(
        'expected a line with 1 kept cells but received {"custom_id":"a"',
      );
  });

  it.each<[EndpointKind, object, object, DuckDBValue[]]>([
    ['classify', scored('good'), scored('bad'), ['good', 0.5]],
    ['embeddings', { embedding: 'AACAPw==' }, { embedding: 'AAAAQA==' }, [expect.objectContaining({ items: new Float32Array([1]) })]],
  ])('drops no answer of a row of /v1/%s with several inputs: it says so', (endpoint, one, two, cells) => {
    const inputs = ['a', 'b', 'c'].map((id) => ({ custom_id: id }));
    const rows = rowsOf(endpoint, inputs, [{ data: [one] }, { data: [one, two] }, { data: [] }]);
    const none = cells.map(() => null);
    expect(rows).toEqual([
      ['a', ...cells, null],
      ['b', ...none, OTHER_FORM],
      ['c', ...none, OTHER_FORM],
    ]);
  });

  it('has all that a body says where the first row has several inputs', () => {
    const bodies = [{ data: [scored('good'), scored('bad')] }, { data: [scored('good')] }];
    expect(rowsOf('classify', [{ custom_id: 'a' }, { custom_id: 'b' }], bodies)).toEqual([
      ['a', JSON.stringify(bodies[0]), null],
      ['b', JSON.stringify(scored('good')), null],
    ]);
  });
});
