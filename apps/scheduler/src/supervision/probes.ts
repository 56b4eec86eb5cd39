import { connect } from 'node:net';
import { probeStatus } from '@app/process';

/** A process is making progress when its event loop answers on its status socket. */
export function statusProbe(socketPath: string): (timeoutMs: number) => Promise<void> {
  return (timeoutMs) => probeStatus(socketPath, timeoutMs);
}

/** Redis on a Unix socket: any reply to PING counts, also the one that says it is still loading its file. */
export function redisProbe(socketPath: string): (timeoutMs: number) => Promise<void> {
  return (timeoutMs) =>
    new Promise((resolve, reject) => {
      const socket = connect(socketPath);
      const timer = setTimeout(() => socket.destroy(new Error(`Redis did not answer within ${timeoutMs} ms`)), timeoutMs);
      socket.once('connect', () => socket.write('PING\r\n'));
      socket.once('data', () => socket.end(() => resolve()));
      socket.once('error', reject);
      socket.once('close', () => {
        clearTimeout(timer);
        reject(new Error('Redis closed the connection'));
      });
    });
}
