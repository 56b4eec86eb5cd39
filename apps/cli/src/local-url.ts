import type { Config } from '@app/config';

/** Where this machine reaches an API that listens on `host`: a host of all addresses is no address to call. */
export function localUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  if (host === '0.0.0.0' || host === '::') return `http://localhost:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
