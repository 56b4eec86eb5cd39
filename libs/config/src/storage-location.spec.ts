import { loadConfig } from './index';

const storageOf = (env: Record<string, string>) => loadConfig({ DATA_DIR: '/data', ...env }).storage;

describe('STORAGE_URL', () => {
  it.each([
    [{}, { kind: 'directory', path: '/data' }],
    [{ STORAGE_URL: 'file:///mnt/a%20b' }, { kind: 'directory', path: '/mnt/a b' }],
    [{ STORAGE_URL: 's3://bucket' }, { kind: 'bucket', bucket: 'bucket', prefix: '', endpoint: null }],
    [{ STORAGE_URL: 's3://my.bucket/a/b/' }, { kind: 'bucket', bucket: 'my.bucket', prefix: 'a/b/', endpoint: null }],
    [
      { STORAGE_URL: 's3://bucket/a', AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000' },
      { kind: 'bucket', bucket: 'bucket', prefix: 'a/', endpoint: { url: 'http://127.0.0.1:9000', region: 'us-east-1' } },
    ],
    [
      { STORAGE_URL: 's3://bucket', AWS_ENDPOINT_URL: 'http://a', AWS_REGION: 'here' },
      { kind: 'bucket', bucket: 'bucket', prefix: '', endpoint: { url: 'http://a', region: 'here' } },
    ],
  ])('%j', (env, expected) => {
    expect(storageOf(env)).toEqual(expected);
  });

  it.each([
    's3://',
    's3://B',
    's3://b',
    's3://bucket/../x',
    's3://bucket/a//b',
    's3://bucket/./a',
    'gs://bucket',
    '/data',
    's3://key:secret@bucket/x',
  ])('refuses %s', (url) => {
    expect(() => storageOf({ STORAGE_URL: url })).toThrow(/STORAGE_URL/);
  });
});
