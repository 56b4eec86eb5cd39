import { defaultName, parseModelUri } from './uri';

describe('the URI of a model', () => {
  it.each([
    ['file:///srv/a%20b/', { kind: 'file', folder: '/srv/a b', graph: null }],
    ['/srv/minilm/onnx/q.onnx', { kind: 'file', folder: '/srv/minilm', graph: 'onnx/q.onnx' }],
    ['s3://bucket/a/b', { kind: 's3', bucket: 'bucket', prefix: 'a/b/', graph: null }],
    ['s3://bucket', { kind: 's3', bucket: 'bucket', prefix: '', graph: null }],
    ['s3://bucket/m/model.onnx', { kind: 's3', bucket: 'bucket', prefix: 'm/', graph: 'model.onnx' }],
    ['hf://acme/m', { kind: 'hf', repository: 'acme/m', revision: null, graph: null }],
    ['hf://acme/m@v1.0/onnx/model.onnx', { kind: 'hf', repository: 'acme/m', revision: 'v1.0', graph: 'onnx/model.onnx' }],
    ['hf://acme/m@refs/pr/1', { kind: 'hf', repository: 'acme/m', revision: 'refs/pr/1', graph: null }],
    ['hf://acme/m/model.onnx', { kind: 'hf', repository: 'acme/m', revision: null, graph: 'model.onnx' }],
    ['oci://ghcr.io/acme/m', { kind: 'oci', registry: 'ghcr.io', repository: 'acme/m', tag: 'latest', digest: null, graph: null }],
    ['oci://localhost:5000/m:1.0', { kind: 'oci', registry: 'localhost:5000', repository: 'm', tag: '1.0', digest: null, graph: null }],
    [
      `oci://r.io/a/m:1@sha256:${'a'.repeat(64)}`,
      { kind: 'oci', registry: 'r.io', repository: 'a/m', tag: '1', digest: `sha256:${'a'.repeat(64)}`, graph: null },
    ],
  ])('%s', (text, uri) => expect(parseModelUri(text)).toEqual(uri));

  it.each([
    '',
    'https://huggingface.co/acme/m',
    'hf://acme',
    'hf://acme/m/other.bin',
    'hf://../m',
    'hf://acme/m@',
    's3:///a',
    's3://bucket/a/../b',
    's3://bucket/a//b',
    's3://key:secret@bucket/a',
    'oci://ghcr.io',
    'oci://ghcr.io/Acme/m',
    'oci://user:secret@ghcr.io/acme/m',
    'oci://ghcr.io/m@sha256:abc',
    'file://host/a',
  ])('%j is refused, and shows no password', (text) => {
    let message = '';
    try {
      parseModelUri(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^expected .* but received "/);
    expect(message).not.toContain('secret');
  });

  it.each([
    ['hf://acme/m@main', 'acme/m'],
    ['oci://ghcr.io/acme/m:1', 'm'],
    ['s3://bucket/models/m/3', 'm'],
    ['/srv/m/onnx/model.onnx', 'm'],
  ])('%s is called %s', (text, name) => expect(defaultName(parseModelUri(text))).toBe(name));

  it('tells no name where there is none', () => expect(() => defaultName(parseModelUri('s3://bucket/3'))).toThrow(/--name/));
});
