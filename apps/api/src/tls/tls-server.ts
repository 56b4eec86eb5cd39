import { createServer, type Server, type TlsOptions } from 'node:tls';
import type { TlsPair } from '@app/system';
import type { TlsFiles } from './tls-files';

/** A connection must have finished its handshake by then. */
const HANDSHAKE_MS_MAX = 10_000;

/** How this node speaks TLS. `alpn`: the protocols that are spoken inside; callers that want none of them are refused. */
export function tlsOptions(pair: TlsPair, alpn: string[]): TlsOptions {
  const isMutual = pair.clientCa !== null;
  return {
    ...contextOf(pair),
    ALPNProtocols: alpn,
    handshakeTimeout: HANDSHAKE_MS_MAX,
    requestCert: isMutual,
    rejectUnauthorized: isMutual,
  };
}

/**
 * New connections get what is in the files; those that are open keep theirs. Sessions of the time before are not resumed, so a
 * caller whose authority was removed has to show a certificate again.
 */
export function followFiles(server: Pick<Server, 'setSecureContext'>, files: TlsFiles): void {
  files.onChange((pair) => server.setSecureContext(contextOf(pair)));
}

/** Node tells of a handshake that was not finished in time, and leaves the connection open. */
export function endLateHandshakes(server: Pick<Server, 'on'>): void {
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') socket.destroy();
  });
}

/**
 * Accepts TLS connections for protocols that do their own parsing: `secureConnection` has the socket, with the protocol that was
 * agreed on in `alpnProtocol`. It does not listen yet.
 */
export function createTlsListener({ alpn, files }: { alpn: string[]; files: TlsFiles }): Server {
  const server = createServer(tlsOptions(files.current, alpn));
  followFiles(server, files);
  endLateHandshakes(server);
  return server;
}

function contextOf({ cert, key, clientCa }: TlsPair): TlsOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientCa !== null && { ca: clientCa }) };
}
