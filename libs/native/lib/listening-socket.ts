import { lookup } from 'node:dns/promises';
import { getSystemErrorName } from 'node:util';
import { loadAddon } from './addon';

/** What the system said; `code` is its name, as in node's own errors (`EADDRINUSE`). */
export interface SocketError extends Error {
  code: string;
}

/** Connections that may wait while nobody accepts; the kernel cuts it to net.core.somaxconn. */
const BACKLOG_MAX = 4096;

/**
 * Opens a socket that listens at a host name or address, for another process to accept on. Returns the descriptor, which
 * the caller owns and which is not inherited by itself. Rejects with a `SocketError`.
 */
export async function openListeningSocket(host: string, port: number): Promise<number> {
  const { address } = await lookup(host);
  return named(() => loadAddon().listeningSocketOpen({ ip: address, port, backlog: BACKLOG_MAX }));
}

/** A copy of descriptor `fd` of another process of this user. Throws a `SocketError` where kernel or sandbox forbid it. */
export function copyDescriptor(pid: number, fd: number): number {
  return named(() => loadAddon().descriptorCopy({ pid, fd }));
}

function named(call: () => number): number {
  try {
    return call();
  } catch (error) {
    const { errno } = error as { errno?: number };
    throw errno === undefined ? error : Object.assign(error as Error, { code: getSystemErrorName(-errno) });
  }
}
