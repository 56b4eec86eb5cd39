import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const RETRY_MS = 250;

/**
 * Waits until no other process works on the batches of this data directory. Manifests have a single writer; a scheduler
 * that restarts may start a runner while the old one still drains. The lock is a socket in Linux' abstract namespace
 * (unix(7)): the kernel gives it to one process and takes it back when that process ends, however it ends. It holds
 * within one network namespace.
 */
export async function acquireRunnerLock(instanceId: string, onWaiting: () => void): Promise<Server> {
  const name = `\0interleave-runner-${createHash('sha256').update(instanceId).digest('hex').slice(0, 32)}`;
  for (let attempt = 0; ; attempt++) {
    const lock = await tryListen(name);
    if (lock !== null) return lock.unref();
    if (attempt === 0) onWaiting();
    await sleep(RETRY_MS);
  }
}

function tryListen(name: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(name, () => resolve(server));
  });
}
