import type { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryKernelLock } from '@app/system';

const RETRY_MS = 250;

/**
 * Waits until no other process works on the batches of this data directory. Manifests have a single writer; a scheduler
 * that restarts may start a runner while the old one still drains.
 */
export async function acquireRunnerLock(instanceId: string, onWaiting: () => void): Promise<Server> {
  for (let attempt = 0; ; attempt++) {
    const lock = await tryKernelLock('runner', instanceId);
    if (lock !== null) return lock;
    if (attempt === 0) onWaiting();
    await sleep(RETRY_MS);
  }
}
