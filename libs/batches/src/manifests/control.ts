import { setTimeout as sleep } from 'node:timers/promises';
import { BATCH_PRIORITY_DEFAULT, InterleaveError, type BatchPriority } from '@app/contracts';
import type { ObjectStore } from '../storage/object-store';
import { readStored, storedJson } from '../storage/stored-json';
import { storeKeys } from '../storage/store-keys';
import type { Manifest } from './manifest';

/** What whoever submitted a batch may change while it is open. */
export interface BatchControl {
  isPaused: boolean;
  priority: BatchPriority;
}

/** Why a batch does not go on that somebody paused. */
export const PAUSED_BY_REQUEST = 'paused by request; POST to its /resume to go on';

/** `control.json`: written by the API, read by the node that owns the batch. */
interface StoredControl extends BatchControl {
  formatVersion: 1;
}

const FORMATS = [1] as const;
const TRIES_MAX = 8;
const WAIT_MS_MAX = 50;

/** Of a batch that nobody has changed, as it was submitted. */
export async function readControl(store: ObjectStore, manifest: Manifest): Promise<BatchControl> {
  const stored = await readStored<StoredControl>(store, storeKeys.batch(manifest.batch.id).control, FORMATS);
  if (stored === null) return { isPaused: false, priority: manifest.priority ?? BATCH_PRIORITY_DEFAULT };
  const { isPaused, priority } = stored.record;
  return { isPaused, priority };
}

/** Two who change something at the same time both succeed. Throws `conflict` where many do. */
export async function changeControl(store: ObjectStore, manifest: Manifest, change: Partial<BatchControl>): Promise<BatchControl> {
  const key = storeKeys.batch(manifest.batch.id).control;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const stored = await readStored<StoredControl>(store, key, FORMATS);
    const before = stored?.record ?? { isPaused: false, priority: manifest.priority ?? BATCH_PRIORITY_DEFAULT };
    const control: StoredControl = { formatVersion: 1, isPaused: before.isPaused, priority: before.priority, ...change };
    const isWritten =
      stored === null
        ? await store.putIfAbsent(key, storedJson(control))
        : (await store.putIfUnchanged(key, storedJson(control), stored.version)) !== null;
    if (isWritten) return { isPaused: control.isPaused, priority: control.priority };
    await sleep(Math.random() * WAIT_MS_MAX);
  }
  throw new InterleaveError('conflict', 'Others change this batch at the same time; try again', { param: 'batch_id' });
}
