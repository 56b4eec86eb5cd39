import type { CrashMarks } from '@app/batches';

/** Runners that may crash while a batch is in work and gets no further, before it fails. */
export const RUNNER_DEATHS_MAX = 3;
/** What such a batch is told. */
export const CRASHED = {
  code: 'runner_crashed',
  message: `The batch runner crashed ${RUNNER_DEATHS_MAX} times while it worked on this batch and got no further. Look for very large or deeply nested rows, and send the rest without them.`,
  param: 'input_file_id',
  line: null,
};
/** One death before that, the batch runs alone for at most this long, so that the next death cannot be a neighbour's fault. */
const TURN_MS_MAX = 60_000;

/**
 * Whether the runner of this node crashes of one batch, again at each restart: remembered on its disk before the batch comes into work, forgotten
 * when it gets further. What kills the runner from outside is no crash.
 */
export class CrashRecord {
  private deaths = 0;
  private inWorkSinceMs: number | null = null;
  private readonly loadedMs = performance.now();

  constructor(
    private readonly marks: CrashMarks,
    private readonly batchId: string,
    private readonly crashes: number,
  ) {}

  get hasDeaths(): boolean {
    return this.deaths > 0;
  }

  get isHopeless(): boolean {
    return this.deaths >= RUNNER_DEATHS_MAX;
  }

  get isSuspect(): boolean {
    return this.deaths === RUNNER_DEATHS_MAX - 1 && performance.now() - (this.inWorkSinceMs ?? this.loadedMs) <= TURN_MS_MAX;
  }

  /** Before anything else. */
  async load(): Promise<void> {
    const mark = await this.marks.read(this.batchId);
    if (mark === null) return;
    const hasDied = mark.inWorkAt !== null && this.crashes > mark.inWorkAt;
    this.deaths = mark.deaths + (hasDied ? 1 : 0);
    await this.write(null);
  }

  async beginWork(): Promise<void> {
    if (this.inWorkSinceMs !== null) return;
    this.inWorkSinceMs = performance.now();
    await this.write(this.crashes);
  }

  async gotFurther(): Promise<void> {
    if (this.deaths === 0) return;
    this.deaths = 0;
    await this.write(this.crashes);
  }

  /** The batch is over. */
  forget(): Promise<void> {
    return this.marks.remove(this.batchId);
  }

  private write(inWorkAt: number | null): Promise<void> {
    return this.marks.write(this.batchId, { deaths: this.deaths, inWorkAt });
  }
}
