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
  match: { prefix?: string };
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

  it('sends what changes something again only where no node has seen it', () => {
    const stateful = forwarding.find(({ match }) => JSON.stringify(match).includes('batches'));
    expect(stateful?.route?.retry_policy?.retry_on).toBe('connect-failure,refused-stream');
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
