import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { openBatchInput } from './batch-input';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'batch-input-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function file(content: string | Uint8Array): string {
  const path = join(dir, 'input');
  writeFileSync(path, content);
  return path;
}
const textOf = ({ content }: { content: Readable | null }) => (content === null ? Promise.resolve('') : text(content));
const rowsOf = async (input: { content: Readable | null }) =>
  (await textOf(input))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown);

describe('the input of a batch', () => {
  it('leaves JSON Lines as they are, for the url of the first line', async () => {
    const content = '\n{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}\nnot even JSON\n';
    const input = await openBatchInput(file(content), {});
    expect(input).toEqual({ content: null, kind: 'jsonl', endpoint: '/v1/embeddings' });
  });

  it('lets --endpoint and --model win over the url of the first line', async () => {
    const path = file('{"custom_id":"a","url":"/v1/embeddings"}\n');
    for (const [options, endpoint] of [
      [{ endpoint: '/v2/models/m/infer' }, '/v2/models/m/infer'],
      [{ model: 'm' }, '/v1/models/m:predict'],
    ] as const) {
      const input = await openBatchInput(path, options);
      expect(input.endpoint).toBe(endpoint);
    }
  });

  it('makes a row of each line of text that is not blank, numbered as in the file', async () => {
    const input = await openBatchInput(file('first "quoted"\r\n\n  \nfourth \u{1F600}'), { model: 'm' });
    expect(input).toMatchObject({ kind: 'text', endpoint: '/v1/models/m:predict' });
    const row = (number: number, line: string) => ({
      custom_id: `line-${number}`,
      method: 'POST',
      url: '/v1/models/m:predict',
      body: { instances: [line] },
    });
    expect(await rowsOf(input)).toEqual([row(1, 'first "quoted"'), row(4, 'fourth \u{1F600}')]);
  });

  it.each(['/v1/embeddings', '/v1/classify', '/v1/tokenize'])('shapes rows of text for %s when asked to', async (endpoint) => {
    const input = await openBatchInput(file('hello\n'), { model: 'm', endpoint });
    expect(await rowsOf(input)).toEqual([{ custom_id: 'line-1', method: 'POST', url: endpoint, body: { model: 'm', input: 'hello' } }]);
  });

  it('takes a line of text that happens to be JSON for text', async () => {
    expect((await openBatchInput(file('{"a": 1}\n'), { model: 'm' })).kind).toBe('text');
    expect((await openBatchInput(file('null\n'), { model: 'm' })).kind).toBe('text');
  });

  it.each<[string, string, { model?: string; endpoint?: string }, RegExp]>([
    ['text without a model', 'hello', {}, /text file; name the model with --model/],
    ['text for embeddings without a model', 'hello', { endpoint: '/v1/embeddings' }, /needs --model/],
    ['text for a reranker', 'hello', { model: 'm', endpoint: '/v1/rerank' }, /write JSON Lines/],
    ['text for raw tensors', 'hello', { endpoint: '/v2/models/m/infer' }, /write JSON Lines/],
    ['JSON Lines without any url', '{"custom_id":"a"}', {}, /no url; name the endpoint/],
    ['an empty file', '\n \n', { model: 'm' }, /is empty/],
  ])('refuses %s', async (_name, content, options, message) => {
    await expect(openBatchInput(file(content), options)).rejects.toThrow(message);
  });

  it('ends lines at LF and CRLF alone, and drops a byte order mark', async () => {
    const input = await openBatchInput(file('\ufeffone\rand\r\ntwo\u2028\u0085\n\ufeffthree'), { model: 'm' });
    const lines = (await textOf(input)).split(/[\n\u2028\u0085]/).filter(Boolean);
    expect(lines.map((line) => (JSON.parse(line) as { body: { instances: string[] } }).body.instances[0])).toEqual([
      'one\rand',
      'two\u2028\u0085',
      '\ufeffthree',
    ]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['Latin-1', Buffer.from('ok\n\nh\u00e9\nok', 'latin1'), /line 3 is not valid UTF-8.*iconv/],
    ['half a character at the end', Buffer.from('ok\nh\u00e9').subarray(0, 5), /line 2 is not valid UTF-8/],
    ['UTF-16, low byte first', Buffer.from('\ufeffhello\n', 'utf16le'), /is UTF-16; convert it to UTF-8.*iconv -f UTF-16/],
    ['UTF-16, high byte first', Buffer.from('\ufeffhello\n', 'utf16le').swap16(), /is UTF-16/],
    ['UTF-16 without a mark', Buffer.from('hello\nhello\n', 'utf16le'), /line 1 has a zero byte, as UTF-16/],
  ])('refuses %s, saying where', async (_name, content, message) => {
    await expect(openBatchInput(file(content), { model: 'm' })).rejects.toThrow(message);
  });

  it('says which file cannot be read', async () => {
    await expect(openBatchInput(join(dir, 'absent'), { model: 'm' })).rejects.toThrow(/absent cannot be read/);
  });
});
