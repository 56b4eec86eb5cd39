import { embed } from '../support/live-load';
import { Stack } from '../support/stack';

type ErrorShape = 'flat' | 'openai';
/** What is wrong, the body (a string is sent as it is), the status, and what the message must name. */
type Case = [title: string, body: unknown, status: number, message: RegExp];

const ids = (overrides: object = {}) => ({ name: 'input_ids', datatype: 'INT64', shape: [1, 3], data: [1, 2, 3], ...overrides });
const mask = (overrides: object = {}) => ({ name: 'attention_mask', datatype: 'INT64', shape: [1, 3], data: [1, 1, 1], ...overrides });
const output = (parameters: object) => ({ name: 'sentence_embedding', parameters });
const SHARED = { shared_memory_region: 'r', shared_memory_byte_size: 512 };
const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

const INFER: Case[] = [
  ['broken JSON', '{"inputs": [', 400, /JSON/],
  ['an empty body', '', 400, /./],
  ['a JSON string', '"x"', 400, /object/],
  ['null', 'null', 400, /object/],
  ['no inputs', {}, 400, /inputs/],
  ['inputs that are no list', { inputs: 1 }, 400, /inputs/],
  ['a missing input', { inputs: [ids()] }, 400, /attention_mask/],
  ['an unknown input', { inputs: [ids(), mask(), ids({ name: 'nope' })] }, 400, /nope/],
  ['an input given twice', { inputs: [ids(), ids(), mask()] }, 400, /input_ids/],
  ['a wrong datatype', { inputs: [ids({ datatype: 'FP32' }), mask()] }, 400, /FP32/],
  ['an unknown datatype', { inputs: [ids({ datatype: 'INT65' }), mask()] }, 400, /INT65/],
  ['a shape of wrong rank', { inputs: [ids({ shape: [3] }), mask()] }, 400, /shape/],
  ['a negative dimension', { inputs: [ids({ shape: [1, -3] }), mask()] }, 400, /shape/],
  ['a fractional dimension', { inputs: [ids({ shape: [1, 2.5] }), mask()] }, 400, /shape/],
  ['a huge dimension', { inputs: [ids({ shape: [9007199254740991, 9007199254740991] }), mask()] }, 400, /shape|elements|data/],
  ['more data than the shape', { inputs: [ids({ data: [1, 2, 3, 4] }), mask()] }, 400, /3.*4|4.*3/],
  ['less data than the shape', { inputs: [ids({ data: [1] }), mask()] }, 400, /3.*1|1.*3/],
  ['ragged nested data', { inputs: [ids({ shape: [2, 2], data: [[1], [2, 3, 4]] }), mask()] }, 400, /data/],
  ['strings for integers', { inputs: [ids({ data: ['1', '2', '3'] }), mask()] }, 400, /data/],
  ['fractions for integers', { inputs: [ids({ data: [1.5, 2, 3] }), mask()] }, 400, /1\.5/],
  ['null among the data', { inputs: [ids({ data: [null, 2, 3] }), mask()] }, 400, /null/],
  ['NaN', '{"inputs":[{"name":"input_ids","datatype":"INT64","shape":[1,1],"data":[NaN]}]}', 400, /JSON/],
  [
    'an integer above 2^53',
    '{"inputs":[{"name":"input_ids","datatype":"INT64","shape":[1,1],"data":[9007199254740993]},{"name":"attention_mask","datatype":"INT64","shape":[1,1],"data":[1]}]}',
    422,
    /9007199254740993/,
  ],
  [
    'inputs of different lengths',
    { inputs: [ids(), mask({ shape: [1, 2], data: [1, 1] })] },
    400,
    /attention_mask.*expected 3 as sequence length/,
  ],
  ['an unknown output', { inputs: [ids(), mask()], outputs: [{ name: 'nope' }] }, 400, /nope/],
  ['a negative number of classes', { inputs: [ids(), mask()], outputs: [output({ classification: -1 })] }, 400, /classification/],
  ['shared memory while it is off', { inputs: [ids(), mask()], outputs: [output(SHARED)] }, 501, /http\.sharedMemory/],
  [
    'a binary size without binary data',
    { inputs: [{ name: 'input_ids', datatype: 'INT64', shape: [1, 3], parameters: { binary_data_size: 24 } }, mask()] },
    400,
    /binary/i,
  ],
  ['nesting 100 000 deep', deep, 400, /./],
  ['a negative timeout', { inputs: [ids(), mask()], parameters: { timeout: -1 } }, 400, /timeout/],
  ['an unknown service tier', { inputs: [ids(), mask()], parameters: { service_tier: 'gold' } }, 400, /service_tier/],
];

const PREDICT: Case[] = [
  ['broken JSON', '{', 400, /JSON/],
  ['no instances', {}, 400, /instances/],
  ['an empty list', { instances: [] }, 400, /instances/],
  ['a number', { instances: [1] }, 400, /instances\[0\]/],
  ['an object without text', { instances: ['ok', { txt: 'x' }] }, 400, /instances\[1\]/],
  ['a text that is too long', { instances: ['x '.repeat(20_000)] }, 400, /token/],
  ['unknown parameters of wrong type', { instances: ['x'], parameters: 3 }, 400, /parameters/],
  ['top_k of zero', { instances: ['x'], parameters: { top_k: 0 } }, 400, /top_k/],
  ['an unknown service tier', { instances: ['x'], parameters: { service_tier: 'gold' } }, 400, /service_tier/],
  ['too many instances', { instances: Array.from({ length: 10_000 }, () => 'x') }, 400, /instances/],
];

const EMBEDDINGS: Case[] = [
  ['broken JSON', '{"model":', 400, /JSON/],
  ['no model', { input: 'x' }, 400, /model/],
  ['a model that is no string', { model: 3, input: 'x' }, 400, /model/],
  ['an unknown model', { model: 'nope', input: 'x' }, 404, /nope/],
  ['a path as model', { model: '../../etc/passwd', input: 'x' }, 404, /./],
  ['the prototype as model', { model: '__proto__', input: 'x' }, 404, /./],
  ['no input', { model: 'encoder-tiny' }, 400, /input/],
  ['an empty list', { model: 'encoder-tiny', input: [] }, 400, /input/],
  ['mixed types', { model: 'encoder-tiny', input: ['a', 1] }, 400, /input/],
  ['a token id out of range', { model: 'encoder-tiny', input: [1, 999_999_999] }, 400, /999999999/],
  ['a negative token id', { model: 'encoder-tiny', input: [-1] }, 400, /-1/],
  ['a fractional token id', { model: 'encoder-tiny', input: [1.5] }, 400, /1\.5/],
  ['an unknown encoding', { model: 'encoder-tiny', input: 'x', encoding_format: 'hex' }, 400, /encoding_format/],
  ['dimensions of zero', { model: 'encoder-tiny', input: 'x', dimensions: 0 }, 400, /dimensions/],
  ['an unknown truncation', { model: 'encoder-tiny', input: 'x', truncate: 'middle' }, 400, /truncate/],
  ['an unknown prompt', { model: 'encoder-tiny', input: 'x', prompt_name: 'nope' }, 400, /prompt/],
  ['an unknown service tier', { model: 'encoder-tiny', input: 'x', service_tier: 'gold' }, 400, /service_tier/],
  ['too many dimensions', { model: 'encoder-tiny', input: 'x', dimensions: 100_000 }, 400, /dimensions/],
  ['a text that is too long', { model: 'encoder-tiny', input: 'x '.repeat(20_000) }, 400, /token/],
];

const RERANK: Case[] = [
  ['broken JSON', '{"model":', 400, /JSON/],
  ['no model', { query: 'x', documents: ['y'] }, 400, /model/],
  ['an unknown model', { model: 'nope', query: 'x', documents: ['y'] }, 404, /nope/],
  ['a model of another task', { model: 'encoder-tiny', query: 'x', documents: ['y'] }, 400, /embedding/],
  ['no query', { model: 'reranker', documents: ['y'] }, 400, /query/],
  ['no documents', { model: 'reranker', query: 'x', documents: [] }, 400, /documents/],
  ['a number as document', { model: 'reranker', query: 'x', documents: ['y', 7] }, 400, /documents\[1\]/],
  ['too many documents', { model: 'reranker', query: 'x', documents: Array.from({ length: 10_000 }, () => 'y') }, 400, /documents/],
  ['top_n of zero', { model: 'reranker', query: 'x', documents: ['y'], top_n: 0 }, 400, /top_n/],
  ['an unknown service tier', { model: 'reranker', query: 'x', documents: ['y'], service_tier: 'gold' }, 400, /service_tier/],
  ['fields to rank', { model: 'reranker', query: 'x', documents: [{ text: 'y' }], rank_fields: ['title'] }, 400, /rank_fields/],
  ['an unknown field', { model: 'reranker', query: 'x', documents: ['y'], overlap: 3 }, 400, /overlap/],
];

const CLASSIFY: Case[] = [
  ['a list of numbers', { model: 'classifier', input: [1] }, 400, /input\[0\]/],
  ['no input', { model: 'classifier' }, 400, /input/],
  ['a model of another task', { model: 'reranker', input: 'x' }, 400, /rerank/],
  ['top_k of zero', { model: 'classifier', input: 'x', top_k: 0 }, 400, /top_k/],
  ['an unknown truncation', { model: 'classifier', input: 'x', truncate: 'middle' }, 400, /truncate/],
];

const TOKENIZE: Case[] = [
  ['no text', { model: 'encoder-tiny' }, 400, /prompt/],
  ['token ids', { model: 'encoder-tiny', prompt: [1, 2] }, 400, /prompt\[0\]/],
  ['far too much text', { model: 'encoder-tiny', prompt: Array.from({ length: 3 }, () => 'x '.repeat(50_000)) }, 400, /characters/],
];

const DETOKENIZE: Case[] = [
  ['an id out of range', { model: 'encoder-tiny', tokens: [1, 999_999_999] }, 400, /999999999/],
  ['text', { model: 'encoder-tiny', tokens: 'x' }, 400, /tokens/],
  ['no tokens', { model: 'encoder-tiny' }, 400, /tokens/],
];

const REPOSITORY_INDEX: Case[] = [
  ['broken JSON', '{', 400, /JSON/],
  ['a list', [], 400, /object/],
  ['ready that is no boolean', { ready: 'yes' }, 400, /ready/],
];

const REGISTER: Case[] = [['a region while shared memory is off', { key: '/x', offset: 0, byte_size: 8 }, 501, /http\.sharedMemory/]];

const BATCHES: Case[] = [
  ['broken JSON', '{', 400, /JSON/],
  ['no input file', { endpoint: '/v1/embeddings', completion_window: '24h' }, 400, /input_file_id/],
  ['an unknown file', { input_file_id: 'file-nope', endpoint: '/v1/embeddings', completion_window: '24h' }, 404, /file/],
  ['a path as file', { input_file_id: '../../etc/passwd', endpoint: '/v1/embeddings', completion_window: '24h' }, 404, /file/],
  ['an unknown endpoint', { input_file_id: 'file-nope', endpoint: '/v1/chat/completions', completion_window: '24h' }, 400, /endpoint/],
  ['another window', { input_file_id: 'file-nope', endpoint: '/v1/embeddings', completion_window: '1s' }, 400, /completion_window/],
  [
    'metadata that is too long',
    { input_file_id: 'file-nope', endpoint: '/v1/embeddings', completion_window: '24h', metadata: { k: 'x'.repeat(513) } },
    400,
    /metadata/,
  ],
];

describe('bad input', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny', 'reranker', 'classifier'] });
  });
  afterAll(() => stack?.stop());

  const table = (path: string, shape: ErrorShape, cases: Case[]) =>
    it.each(cases)(`POST ${path} answers clearly: %s`, async (_title, body, status, message) => {
      const response = await post(path, typeof body === 'string' ? body : JSON.stringify(body));
      const text = await response.text();
      expect([response.status, text]).toEqual([status, expect.stringMatching(message)]);
      expect(errorMessage(text, shape)).toEqual(expect.stringMatching(/\S/));
      expect((await embed(stack.url, 'encoder-tiny', 'still here')).status).toBe(200);
    });

  table('/v2/models/encoder-tiny/infer', 'flat', INFER);
  table('/v1/models/encoder-tiny:predict', 'flat', PREDICT);
  table('/v1/embeddings', 'openai', EMBEDDINGS);
  table('/v1/rerank', 'openai', RERANK);
  table('/v2/rerank', 'openai', RERANK.slice(0, 2));
  table('/rerank', 'openai', RERANK.slice(0, 2));
  table('/v2/repository/index', 'flat', REPOSITORY_INDEX);
  table('/v2/systemsharedmemory/region/r/register', 'flat', REGISTER);
  table('/v1/classify', 'openai', CLASSIFY);
  table('/v1/tokenize', 'openai', TOKENIZE);
  table('/v1/detokenize', 'openai', DETOKENIZE);
  table('/v1/batches', 'openai', BATCHES);

  it.each([
    '/v2/models/nope/infer',
    '/v2/models/..%2F..%2Fetc/infer',
    '/v2/models/encoder-tiny/versions/99/infer',
    '/v2/models/encoder-tiny/versions/x/infer',
    '/v1/models/nope:predict',
    '/v2/models/org/nope/infer',
    '/v1/models/org/nope:predict',
  ])('POST %s is 404', async (path) => {
    const response = await post(path, JSON.stringify({ inputs: [ids(), mask()], instances: ['x'] }));
    expect([response.status, errorMessage(await response.text(), 'flat')]).toEqual([404, expect.stringMatching(/\S/)]);
  });

  it.each(
    ['/stats', '/config', '/ready', ''].flatMap((call) =>
      ['nope', 'org/nope', 'encoder-tiny/versions/99', '..%2F..%2Fetc'].map((model) => `/v2/models/${model}${call}`),
    ),
  )('GET %s is 404', async (path) => {
    const response = await fetch(stack.url + path);
    expect([response.status, await response.text()]).toEqual([404, expect.stringMatching(/"(?:error|reason)":"\S/)]);
  });

  it.each([
    ['x-interleave-service-tier', 'gold', 400],
    ['x-interleave-degrade', 'always', 400],
    ['x-interleave-timeout-ms', '0', 400],
    ['content-encoding', 'gzip', 400],
    ['content-encoding', 'br', 415],
  ])('POST /v1/rerank refuses the header %s: %s with %i', async (name, value, status) => {
    const body = JSON.stringify({ model: 'reranker', query: 'x', documents: ['y'] });
    const headers = { 'content-type': 'application/json', [name]: value };
    const response = await fetch(`${stack.url}/v1/rerank`, { method: 'POST', headers, body });
    expect([response.status, errorMessage(await response.text(), 'openai')]).toEqual([status, expect.stringMatching(/\S/)]);
  });

  it('refuses a body over the limit with 413', async () => {
    const response = await post('/v1/embeddings', Buffer.alloc(65 * 1024 * 1024, 'x').toString()).catch(() => null);
    // The server may close the connection while the client still writes: that is a refusal too.
    expect([413, undefined]).toContain(response?.status);
  });

  it.each(
    ['/v1/embeddings', '/v1/batches'].flatMap((path) =>
      ['text/plain', 'application/x-ndjson', 'multipart/form-data; boundary=x'].map((type) => [path, type]),
    ),
  )('POST %s refuses the content type %s with 415', async (path = '', type = '') => {
    const response = await fetch(`${stack.url}${path}`, { method: 'POST', headers: { 'content-type': type }, body: '{}' });
    expect([response.status, errorMessage(await response.text(), 'openai')]).toEqual([415, expect.stringMatching(/application\/json/)]);
  });

  it.each(['/v1/embeddings', '/v1/batches'])('POST %s refuses to do without a body', async (path) => {
    const response = await fetch(`${stack.url}${path}`, { method: 'POST' });
    expect([response.status, errorMessage(await response.text(), 'openai')]).toEqual([400, expect.stringMatching(/empty/)]);
  });

  function post(path: string, body: string): Promise<Response> {
    return fetch(`${stack.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  }
});

/** The message in the protocol's own error shape; throws when the body has another shape. */
function errorMessage(text: string, shape: ErrorShape): string {
  const { error } = JSON.parse(text) as { error: unknown };
  if (shape === 'flat') return typeof error === 'string' ? error : '';
  const { message, type, param, code } = error as { message: string; type: string; param: unknown; code: unknown };
  if (typeof type !== 'string' || param === undefined || code === undefined) throw new Error(`not an OpenAI error: ${text}`);
  return message;
}
