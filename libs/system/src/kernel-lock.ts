import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Takes a lock that the kernel takes back when this process ends, however it ends; null when another process has it.
 * `subject` names what is locked, of any length. The lock is a socket in Linux' abstract namespace (unix(7)), so it holds
 * within one network namespace. Released by `close()`; does not keep the process running.
 */
export function tryKernelLock(kind: string, subject: string): Promise<Server | null> {
  const name = `\0interleave-${kind}-${createHash('sha256').update(subject).digest('hex').slice(0, 32)}`;
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(name, () => resolve(server.unref()));
  });
}
