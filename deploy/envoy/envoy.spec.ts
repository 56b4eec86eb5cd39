import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { envoyYaml } from '@app/config';
import { findExecutable } from '@app/system';
import { parse } from 'yaml';

const shipped = readFileSync(join(__dirname, 'envoy.yaml'), 'utf8');
const withOptions = (text: string): string => text.replaceAll('#~', '');
const envoy = process.env['ENVOY_BINARY'] ?? findExecutable(['envoy'], process.env['PATH'] ?? '');

interface Route {
  match: { prefix?: string; safe_regex?: { regex: string }; headers?: { string_match: { exact: string } }[] };
  route?: { cluster?: string; timeout?: string; retry_policy?: { retry_on: string } };
}
interface Proxy {
  virtual_hosts: { retry_policy?: { retry_on: string; retriable_status_codes?: number[] }; routes: Route[] }[];
}

describe('the configuration of Envoy', () => {
  const resources = (parse(shipped) as { static_resources: Record<string, { name: string; [key: string]: unknown }[]> }).static_resources;
  const proxies = (resources['listeners'] ?? []).map(
    (listener) =>
      (listener as unknown as { filter_chains: [{ filters: [{ typed_config: { route_config: Proxy } }] }] }).filter_chains[0].filters[0]
        .typed_config.route_config,
  );
  const hosts = proxies.flatMap(({ virtual_hosts: found }) => found);
  const forwarding = hosts.flatMap(({ routes }) => routes).filter(({ route }) => route !== undefined);

  it('ends no long call, and never sends a refused one again', () => {
    expect(forwarding.map(({ route }) => route?.timeout)).toEqual(forwarding.map(() => '0s'));
    const policies = [...hosts.map(({ retry_policy: policy }) => policy), ...forwarding.map(({ route }) => route?.retry_policy)];
    const text = JSON.stringify(policies);
    expect(text).not.toMatch(/429|5xx|gateway-error|retriable-4xx|resource-exhausted/);
  });

  /** Where a request goes, and when it is sent again. */
  function retriesOf(method: string, path: string): string | null {
    const host = hosts[0];
    const route = host?.routes.find(({ match }) => {
      if (match.headers !== undefined && match.headers[0]?.string_match.exact !== method) return false;
      return match.prefix === undefined ? new RegExp(`^(?:${match.safe_regex?.regex})$`).test(path) : path.startsWith(match.prefix);
    });
    return route?.route === undefined ? null : ((route.route.retry_policy ?? host?.retry_policy)?.retry_on ?? '');
  }

  it.each([
    ['POST', '/v1/embeddings'],
    ['POST', '/v1/models/langid:predict'],
    ['POST', '/v1/models/langid/versions/1:predict'],
    ['POST', '/v2/models/a/infer'],
    ['POST', '/v2/models/a/versions/1/infer'],
    ['POST', '/v2/rerank'],
    ['POST', '/rerank'],
    ['GET', '/v1/batches/b'],
  ])('sends %s %s again whatever became of it', (method, path) => {
    expect(retriesOf(method, path)).toContain('reset');
  });

  it.each([
    ['POST', '/v1/batches'],
    ['POST', '/v1/files/'],
    ['DELETE', '/v1/files/f'],
    ['POST', '/v2/systemsharedmemory/region/a/register'],
    ['POST', '/%761/batches'],
  ])('sends %s %s again only where no node has seen it', (method, path) => {
    expect(retriesOf(method, path)).toBe('connect-failure,refused-stream');
  });

  it.each(['/dashboard', '/admin/queues', '/metrics', '/v3/discovery:endpoints'])('does not forward %s', (path) => {
    expect(retriesOf('GET', path)).toBeNull();
  });

  const cases: [string, string][] = [
    ['as it is', shipped],
    ['with every option', withOptions(shipped)],
    [
      'as it runs beside a node',
      envoyYaml({ host: '::1', port: 1, grpcPort: 2, admin: { path: '/tmp/a.sock' }, nodes: [{ path: '/tmp/b.sock' }] }),
    ],
  ];
  (envoy === null ? it.skip : it).each(cases)('is taken by Envoy %s', (_name, text) => {
    const dir = mkdtempSync(join(tmpdir(), 'il-envoy-'));
    try {
      const path = join(dir, 'envoy.yaml');
      writeFileSync(path, text);
      const { status, stderr } = spawnSync(envoy ?? '', ['--mode', 'validate', '--log-level', 'error', '-c', path], { encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
