const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;

/** Which chunk of a batch comes next: first those that came back and have waited long enough, then the rest in order. */
export class ChunkBacklog {
  private nextIndex = 0;
  private returned: { chunkIndex: number; notBeforeMs: number }[] = [];
  private readonly takenTimes = new Map<number, number>();

  constructor(
    private readonly chunkCount: number,
    private readonly now: () => number = Date.now,
  ) {}

  /** Null: none now. */
  take(isDone: (chunkIndex: number) => boolean): number | null {
    const chunkIndex = this.takeReturned() ?? this.takeNext(isDone);
    if (chunkIndex !== null) this.takenTimes.set(chunkIndex, this.timesTaken(chunkIndex) + 1);
    return chunkIndex;
  }

  timesTaken(chunkIndex: number): number {
    return this.takenTimes.get(chunkIndex) ?? 0;
  }

  /** `hasFailed`: it waits, longer each time it was taken; else it was only lost on its way. */
  giveBack(chunkIndex: number, hasFailed: boolean): void {
    const delayMs = hasFailed ? Math.min(RETRY_MS_MIN * 2 ** (this.timesTaken(chunkIndex) - 1), RETRY_MS_MAX) : 0;
    this.returned.push({ chunkIndex, notBeforeMs: this.now() + delayMs });
  }

  forget(chunkIndex: number): void {
    this.takenTimes.delete(chunkIndex);
  }

  private takeReturned(): number | null {
    const due = this.returned.findIndex(({ notBeforeMs }) => notBeforeMs <= this.now());
    return due === -1 ? null : (this.returned.splice(due, 1)[0]?.chunkIndex ?? null);
  }

  private takeNext(isDone: (chunkIndex: number) => boolean): number | null {
    while (this.nextIndex < this.chunkCount) {
      const index = this.nextIndex++;
      if (!isDone(index)) return index;
    }
    return null;
  }
}
