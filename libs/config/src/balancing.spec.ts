import { parse } from 'yaml';
import { envoyYaml, loadConfig } from '.';

describe('how a node ends', () => {
  const drain = (environment: Record<string, string>): [number, number] => {
    const { drainWaitMs, drainTimeoutMs } = loadConfig(environment);
    return [drainWaitMs, drainTimeoutMs];
  };

  it('waits for others to look elsewhere only where there are others', () => {
    expect(drain({})).toEqual([0, 30_000]);
    expect(drain({ REDIS_URL: 'redis://shared' })).toEqual([5_000, 30_000]);
    expect(drain({ WITH_ENVOY: '1' })).toEqual([5_000, 30_000]);
    expect(drain({ REDIS_URL: 'redis://shared', DRAIN_WAIT_MS: '0', DRAIN_TIMEOUT_MS: '1000' })).toEqual([0, 1_000]);
  });

  it('does not wait past its end', () => {
    expect(() => drain({ DRAIN_WAIT_MS: '30000' })).toThrow(/expected less than DRAIN_TIMEOUT_MS \(30000\)/);
    expect(() => drain({ WITH_ENVOY: '1', DRAIN_TIMEOUT_MS: '5000' })).toThrow(/DRAIN_WAIT_MS/);
  });
});

describe('the configuration of Envoy', () => {
  interface Read {
    admin: object;
    static_resources: {
      listeners: { address: object }[];
      clusters: { name: string; type: string; load_assignment?: { endpoints: { lb_endpoints: object[] }[] } }[];
    };
  }
  const options = { host: '10.0.0.1', port: 80, grpcPort: 81, admin: { path: '/run/admin.sock' } };
  const read = (nodes: Parameters<typeof envoyYaml>[0]['nodes']): Read => parse(envoyYaml({ ...options, nodes })) as Read;
  const discovery = ({ static_resources: { clusters } }: Read): Read['static_resources']['clusters'][0] | undefined =>
    clusters.find(({ name }) => name === 'xds.localhost');
  const socket = (host: string, port: number): object => ({ socket_address: { address: host, port_value: port } });

  it('is the shipped one at the addresses that are asked for', () => {
    const made = read([
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ]);
    expect(made.admin).toEqual({ address: { pipe: { path: '/run/admin.sock' } } });
    expect(made.static_resources.listeners.map(({ address }) => address)).toEqual([socket('10.0.0.1', 80), socket('10.0.0.1', 81)]);
    expect(discovery(made)?.type).toBe('STRICT_DNS');
    expect(discovery(made)?.load_assignment?.endpoints[0]?.lb_endpoints).toEqual([
      { endpoint: { address: socket('a', 1) } },
      { endpoint: { address: socket('::1', 2) } },
    ]);
  });

  it('looks no socket up', () => {
    expect(discovery(read([{ path: '/run/api.sock' }]))?.type).toBe('STATIC');
  });

  it('keeps the comments, which say what may be changed', () => {
    expect(envoyYaml({ ...options, nodes: [{ host: 'a', port: 1 }] })).toContain('#~- match');
  });
});
