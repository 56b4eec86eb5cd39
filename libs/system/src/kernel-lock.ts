import { createHash } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';

/** Released by `close()`; does not keep the process running. */
export interface KernelLock {
  close(): void;
}

/** Processes that wait for one lock; others have to look again. */
const WAITERS_MAX = 16;

/**
 * Takes a lock that the kernel takes back when this process ends, however it ends; null when another process has it.
 * `subject` names what is locked, of any length. The lock is a socket in Linux' abstract namespace (unix(7)), so it holds
 * within one network namespace.
 */
export function tryKernelLock(kind: string, subject: string): Promise<KernelLock | null> {
  const waiters = new Set<Socket>();
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      if (waiters.size >= WAITERS_MAX) return void socket.destroy();
      waiters.add(socket.unref());
      socket.on('error', () => undefined).once('close', () => waiters.delete(socket));
    });
    const close = (): void => {
      server.close();
      for (const socket of waiters) socket.destroy();
    };
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(nameOf(kind, subject), () => {
      server.unref();
      resolve({ close });
    });
  });
}

/** Resolves when whoever has the lock gives it back or ends, at once where nobody has it. Nothing runs meanwhile. */
export function kernelLockFree(kind: string, subject: string): Promise<void> {
  return new Promise((resolve) => {
    connect(nameOf(kind, subject))
      .on('error', () => undefined)
      .resume()
      .once('close', () => resolve());
  });
}

function nameOf(kind: string, subject: string): string {
  return `\0interleave-${kind}-${createHash('sha256').update(subject).digest('hex').slice(0, 32)}`;
}
