import { setTimeout as sleep } from 'node:timers/promises';
import { runPaths } from '@app/config';
import { kernelLockFree, tryKernelLock, type KernelLock } from '@app/system';
import { fetchStatus } from '@app/process';

/** Between two looks at least, where the answering process is still ending or does not say when it ends. */
const LOOK_MS = 20;
const LOCK = 'api';
const STARTED_LOOK_MS = 200;
const ANSWER_MS_MAX = 1000;

/**
 * One of the API processes that share a listening socket answers, the holder of a kernel lock; the others are loaded and
 * wait. The kernel takes the lock back when its holder ends, however it ends.
 */
export class Turn {
  private isOver = false;

  private constructor(
    private readonly runDir: string,
    private lock: KernelLock | null,
  ) {}

  /** Resolves at once for the first process; for another one when that has started, so that it starts with all CPUs. */
  static async queue(runDir: string): Promise<Turn> {
    const turn = new Turn(runDir, null);
    while (!(await turn.tryTake()) && !(await otherListens(runDir))) await sleep(STARTED_LOOK_MS);
    return turn;
  }

  /** Resolves when this process is to answer; never after `giveUp`. */
  async comes(): Promise<void> {
    while (!this.isOver && !(await this.tryTake())) await Promise.all([kernelLockFree(LOCK, this.runDir), sleep(LOOK_MS)]);
    if (this.isOver) await new Promise(() => undefined);
  }

  /** Lets the next process answer. Final. */
  giveUp(): void {
    this.isOver = true;
    this.lock?.close();
    this.lock = null;
  }

  private async tryTake(): Promise<boolean> {
    this.lock ??= await tryKernelLock(LOCK, this.runDir);
    if (this.isOver) this.giveUp();
    return this.lock !== null;
  }
}

async function otherListens(runDir: string): Promise<boolean> {
  const asked = fetchStatus('api', runPaths(runDir).statusSocket('api'), ANSWER_MS_MAX);
  return asked.then(
    ({ url }) => url !== null,
    () => false,
  );
}
