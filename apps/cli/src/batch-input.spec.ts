import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { openBatchInput } from './batch-input';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'batch-input-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function file(content: string): string {
  const path = join(dir, 'input');
  writeFileSync(path, content);
  return path;
}
const rowsOf = async (input: { content: Parameters<typeof text>[0] }) =>
  (await text(input.content)).split('\n').filter(Boolean).map((line) => JSON.parse(line) as unknown);

describe('the input of a batch', () => {
  it('passes JSON Lines on byte by byte, to the url of its first line', async () => {
    const content = '\n{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}\nnot even JSON\n';
    const input = await openBatchInput(file(content), {});
    expect(input).toMatchObject({ kind: 'jsonl', endpoint: '/v1/embeddings' });
    expect(await text(input.content)).toBe(content);
  });

  it('lets --endpoint and --model win over the url of the first line', async () => {
    const path = file('{"custom_id":"a","url":"/v1/embeddings"}\n');
    for (const [options, endpoint] of [
      [{ endpoint: '/v2/models/m/infer' }, '/v2/models/m/infer'],
      [{ model: 'm' }, '/v1/models/m:predict'],
    ] as const) {
      const input = await openBatchInput(path, options);
      expect(input.endpoint).toBe(endpoint);
      input.content.destroy();
    }
  });

  it('makes a row of each line of text that is not blank, numbered as in the file', async () => {
    const input = await openBatchInput(file('first "quoted"\r\n\n  \nfourth \u{1F600}'), { model: 'm' });
    expect(input).toMatchObject({ kind: 'text', endpoint: '/v1/models/m:predict' });
    const row = (number: number, line: string) => ({ custom_id: `line-${number}`, method: 'POST', url: '/v1/models/m:predict', body: { instances: [line] } });
    expect(await rowsOf(input)).toEqual([row(1, 'first "quoted"'), row(4, 'fourth \u{1F600}')]);
  });

  it('shapes rows of text for embeddings when asked to', async () => {
    const input = await openBatchInput(file('hello\n'), { model: 'm', endpoint: '/v1/embeddings' });
    expect(await rowsOf(input)).toEqual([{ custom_id: 'line-1', method: 'POST', url: '/v1/embeddings', body: { model: 'm', input: 'hello' } }]);
  });

  it('takes a line of text that happens to be JSON for text', async () => {
    expect((await openBatchInput(file('{"a": 1}\n'), { model: 'm' })).kind).toBe('text');
    expect((await openBatchInput(file('null\n'), { model: 'm' })).kind).toBe('text');
  });

  it.each<[string, string, { model?: string; endpoint?: string }, RegExp]>([
    ['text without a model', 'hello', {}, /text file; name the model with --model/],
    ['text for embeddings without a model', 'hello', { endpoint: '/v1/embeddings' }, /needs --model/],
    ['text for raw tensors', 'hello', { endpoint: '/v2/models/m/infer' }, /write JSON Lines/],
    ['JSON Lines without any url', '{"custom_id":"a"}', {}, /no url; name the endpoint/],
    ['an empty file', '\n \n', { model: 'm' }, /is empty/],
  ])('refuses %s', async (_name, content, options, message) => {
    await expect(openBatchInput(file(content), options)).rejects.toThrow(message);
  });

  it('says which file cannot be read', async () => {
    await expect(openBatchInput(join(dir, 'absent'), { model: 'm' })).rejects.toThrow(/absent cannot be read/);
  });
});
