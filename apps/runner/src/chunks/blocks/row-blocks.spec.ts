import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalStore } from '@app/batches';
import { parseEndpoint, type Endpoint } from '@app/protocols';
import { RowLines } from '../../output/row-lines';
import { eachUnit } from './row-blocks';
import { RowForms } from './row-forms';

const ROWS = 600;
const url = '/v1/embeddings';
const endpoint = parseEndpoint(url) as Endpoint;
const limits = { bytesMax: 1 << 20, valuesMax: 1000, stringsMax: 1000, keysMax: 1000, depthMax: 16, numberCharactersMax: 100 };

describe('blocks of rows', () => {
  const folder = mkdtempSync(join(tmpdir(), 'row-blocks-'));
  const text = Array.from(
    { length: ROWS },
    (_, i) => `${JSON.stringify({ custom_id: `row-${i}`, method: 'POST', url, body: { model: 'm', input: `text ${i}` } })}\n`,
  ).join('');
  beforeAll(() => writeFileSync(join(folder, 'rows'), text));
  afterAll(() => rmSync(folder, { recursive: true }));

  const sizes = async (rowSeconds: number, rowsMax: number): Promise<number[]> => {
    const chunk = { index: 0, offset: 0, end: Buffer.byteLength(text), firstRow: 0, rowCount: ROWS, firstLine: 1 };
    const lines = new RowLines('batch_x', endpoint, true);
    const forms = new RowForms(endpoint, url, limits);
    const found: number[] = [];
    for await (const { block } of eachUnit(new LocalStore(folder), {
      chunk,
      contentKey: 'rows',
      lines,
      forms,
      rowsMax,
      share: () => ({ rowSeconds }),
    }))
      found.push(block?.rows.length ?? 1);
    return found;
  };

  it('are larger where rows are quick, and two of them may be in flight', async () => {
    expect(await sizes(0.0005, 512)).toEqual([256, 256, 88]);
    expect(await sizes(0.001, 512)).toEqual([128, 128, 128, 128, 88]);
    expect(await sizes(0.0005, 511)).toEqual([128, 128, 128, 128, 88]);
  });
});
