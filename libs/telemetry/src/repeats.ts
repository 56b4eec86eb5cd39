/** Lines of one kind that are written in a minute. */
const LINES_MAX = 10;
const WINDOW_MS = 60_000;
/** Kinds that are told apart; of others nothing is held back. */
const KINDS_MAX = 512;

/** Who says a line once more, with the number of those that were held back. */
export type Resume = (heldBack: number) => void;

/** Holds back log lines that say the same again and again; at the end of the minute one line says how many they were. */
export class Repeats {
  private readonly kinds = new Map<string, { lines: number; resume: Resume }>();
  private timer: NodeJS.Timeout | null = null;

  /** False: the line is held back. `resume` is called at the end of the minute when some were. */
  mayWrite(kind: string, resume: Resume): boolean {
    const known = this.kinds.get(kind);
    if (known === undefined) {
      if (this.kinds.size >= KINDS_MAX) return true;
      this.kinds.set(kind, { lines: 1, resume });
      this.timer ??= setTimeout(() => this.endWindow(), WINDOW_MS).unref();
      return true;
    }
    known.lines++;
    known.resume = resume;
    return known.lines <= LINES_MAX;
  }

  private endWindow(): void {
    this.timer = null;
    const ended = [...this.kinds.values()];
    this.kinds.clear();
    for (const { lines, resume } of ended) if (lines > LINES_MAX) resume(lines - LINES_MAX);
  }
}
