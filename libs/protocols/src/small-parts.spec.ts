import { ERRORS, InterleaveError, type ErrorCode } from '@app/contracts';
import { checkBatchLine, ENDPOINT_PATHS, errorBody, parseEndpoint } from '.';

describe('parseEndpoint', () => {
  it.each([
    ['/v1/embeddings', { kind: 'embeddings', model: null, version: null }],
    ['/v1/embeddings?x=1', { kind: 'embeddings', model: null, version: null }],
    ['/v1/rerank', { kind: 'rerank', model: null, version: null }],
    ['/v2/rerank', { kind: 'rerank', model: null, version: null }],
    ['/rerank', { kind: 'rerank', model: null, version: null }],
    ['/v1/classify', { kind: 'classify', model: null, version: null }],
    ['/v1/tokenize', { kind: 'tokenize', model: null, version: null }],
    ['/v1/detokenize', { kind: 'detokenize', model: null, version: null }],
    ['/v1/models/a:predict', { kind: 'predict', model: 'a', version: null }],
    ['/v1/models/a.b-c_d/versions/3:predict', { kind: 'predict', model: 'a.b-c_d', version: '3' }],
    ['/v2/models/a/infer', { kind: 'open-inference', model: 'a', version: null }],
    ['/v2/models/a/versions/12/infer', { kind: 'open-inference', model: 'a', version: '12' }],
    ['/v1/models/org/a.b:predict', { kind: 'predict', model: 'org/a.b', version: null }],
    ['/v1/models/org%2Fa/versions/3:predict', { kind: 'predict', model: 'org/a', version: '3' }],
    ['/v1/models/org/a/versions/3:predict', { kind: 'predict', model: 'org/a', version: '3' }],
    ['/v2/models/org/a/infer', { kind: 'open-inference', model: 'org/a', version: null }],
    ['/v2/models/org/versions/versions/2/infer', null],
    ['/v2/models/org%2Fversions/versions/2/infer', { kind: 'open-inference', model: 'org/versions', version: '2' }],
    ['/v2/models/..%2f..%2fetc/infer', { kind: 'open-inference', model: '../../etc', version: null }],
  ])('recognises %s', (url, endpoint) => {
    expect(parseEndpoint(url)).toEqual(endpoint);
  });

  it.each([
    '',
    '/',
    '/v1/embeddings/',
    '/v1/models/a',
    '/v1/models/:predict',
    '/v1/models/a/b/c:predict',
    '/v1/models/a/.b:predict',
    '/v2/models//infer',
    '/v2/models/a/../infer',
    '/v2/models/%zz/infer',
    'http://x/v1/embeddings',
    '/v1/chat/completions',
    '/v3/rerank',
    '/rerank/x',
    '/classify',
  ])('does not recognise "%s"', (url) => {
    expect(parseEndpoint(url)).toBeNull();
  });
});

describe('ENDPOINT_PATHS', () => {
  it.each(ENDPOINT_PATHS)('names %s, which there is', (path) => {
    expect(parseEndpoint(path.replace('<model>', 'a'))).not.toBeNull();
  });
});

describe('errorBody', () => {
  const error = new InterleaveError('model_not_found', 'no such model', { param: 'model' });

  it('is flat for Open Inference and :predict', () => {
    expect(errorBody('open-inference', error)).toEqual({ error: 'no such model' });
    expect(errorBody('predict', error)).toEqual({ error: 'no such model' });
  });

  it('is an error object for OpenAI paths', () => {
    const body = { error: { message: 'no such model', type: 'invalid_request_error', param: 'model', code: 'model_not_found' } };
    expect(errorBody('embeddings', error)).toEqual(body);
    expect(errorBody('openai', error)).toEqual(body);
  });

  it.each([
    ['unauthorized', 'authentication_error'],
    ['forbidden', 'permission_error'],
    ['overloaded', 'rate_limit_error'],
    ['too_large', 'invalid_request_error'],
    ['worker_unavailable', 'server_error'],
    ['storage_full', 'server_error'],
  ] as [ErrorCode, string][])('calls %s %s', (code, type) => {
    expect(errorBody('openai', new InterleaveError(code, 'x'))).toMatchObject({ error: { type, code, param: null } });
    expect(ERRORS[code].status).toBeGreaterThanOrEqual(400);
  });
});

describe('checkBatchLine', () => {
  const line = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: 'm' } };

  it('accepts a line for the endpoint', () => {
    expect(checkBatchLine(line, '/v1/embeddings')).toEqual({ customId: 'a', body: { model: 'm' } });
  });

  it('accepts an organisation with its slash plain or encoded', () => {
    expect(checkBatchLine({ ...line, url: '/v1/models/org/a:predict' }, '/v1/models/org%2Fa:predict').customId).toBe('a');
    expect(() => checkBatchLine({ ...line, url: '/v1/models/org/b:predict' }, '/v1/models/org%2Fa:predict')).toThrow(
      /the endpoint of the batch/,
    );
  });

  it.each([
    ['no object', 'x', 'line'],
    ['an array', [], 'line'],
    ['no custom_id', { ...line, custom_id: undefined }, 'custom_id'],
    ['a number as custom_id', { ...line, custom_id: 1 }, 'custom_id'],
    ['an empty custom_id', { ...line, custom_id: '' }, 'custom_id'],
    ['an endless custom_id', { ...line, custom_id: 'x'.repeat(513) }, 'custom_id'],
    ['another method', { ...line, method: 'GET' }, 'method'],
    ['another url', { ...line, url: '/v1/models/a:predict' }, 'url'],
    ['no body', { ...line, body: null }, 'body'],
  ])('refuses %s', (_, value, param) => {
    expect(() => checkBatchLine(value, '/v1/embeddings')).toThrow(expect.objectContaining({ code: 'invalid_request', param }) as Error);
  });
});
