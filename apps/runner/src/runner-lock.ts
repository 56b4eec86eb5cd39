import { setTimeout as sleep } from 'node:timers/promises';
import { tryKernelLock, type KernelLock } from '@app/system';

const RETRY_MS = 250;

/**
 * Waits until no other process of this machine is the runner of this node: a runner that starts gives back what the one before
 * it had in work, and a scheduler that restarts may start one while the old one still drains.
 */
export async function acquireRunnerLock(nodeId: string, onWaiting: () => void): Promise<KernelLock> {
  for (let attempt = 0; ; attempt++) {
    const lock = await tryKernelLock('runner', nodeId);
    if (lock !== null) return lock;
    if (attempt === 0) onWaiting();
    await sleep(RETRY_MS);
  }
}
