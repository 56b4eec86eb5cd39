import { localUrl } from './index';

it.each([
  ['127.0.0.1', 'http://127.0.0.1:8080'],
  ['0.0.0.0', 'http://localhost:8080'],
  ['::', 'http://localhost:8080'],
  ['::1', 'http://[::1]:8080'],
  ['example', 'http://example:8080'],
])('a server on %s is reached at %s', (host, url) => {
  expect(localUrl({ host, port: 8080, tls: null })).toBe(url);
  expect(new URL(url).port).toBe('8080');
});

it('a server with a certificate is reached over TLS', () => {
  expect(localUrl({ host: '::', port: 8443, tls: { certFile: 'c', keyFile: 'k', clientCaFile: null } })).toBe('https://localhost:8443');
});
