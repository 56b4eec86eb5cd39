import { resolve } from 'node:path';
import type { z } from 'zod';
import { ConfigError } from './config-error';
import type { environmentSchema, FileConfig } from './schema';

/** PEM files by absolute path; null: not set. */
export interface TlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  /** Null: callers need no certificate. */
  readonly clientCaFile: string | null;
}

/** What a client of a server shows and trusts; paths of PEM files. */
export interface ClientTls {
  /** In place of the authorities that Node.js trusts. */
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

type TlsVariables = Pick<z.infer<typeof environmentSchema>, 'TLS_CERT_FILE' | 'TLS_KEY_FILE' | 'TLS_CLIENT_CA_FILE'>;

/** Of environment and file, the environment first. Null: neither names a certificate. */
export function tlsConfig(env: TlsVariables, file: FileConfig['tls']): TlsConfig | null {
  const certFile = env.TLS_CERT_FILE ?? file.certFile;
  const keyFile = env.TLS_KEY_FILE ?? file.keyFile;
  const clientCaFile = env.TLS_CLIENT_CA_FILE ?? file.clientCaFile;
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return null;
  if (certFile === undefined || keyFile === undefined) {
    const missing = certFile === undefined ? 'tls.certFile (TLS_CERT_FILE)' : 'tls.keyFile (TLS_KEY_FILE)';
    throw new ConfigError(`tls: expected a certificate and its key, but ${missing} is not set; set it, or leave out all of tls`);
  }
  return {
    certFile: resolve(certFile),
    keyFile: resolve(keyFile),
    clientCaFile: clientCaFile === undefined ? null : resolve(clientCaFile),
  };
}

/** For the command line: `INTERLEAVE_CA_FILE`, `INTERLEAVE_CERT_FILE` and `INTERLEAVE_KEY_FILE`. */
export function clientTls(environment: NodeJS.ProcessEnv = process.env): ClientTls {
  const fileOf = (name: string): string | null => environment[name] || null;
  return { caFile: fileOf('INTERLEAVE_CA_FILE'), certFile: fileOf('INTERLEAVE_CERT_FILE'), keyFile: fileOf('INTERLEAVE_KEY_FILE') };
}
