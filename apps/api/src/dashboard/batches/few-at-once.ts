import { InterleaveError } from '@app/contracts';

/** Lets so many run at a time: beside them this process answers live requests. */
export class FewAtOnce {
  private running = 0;

  /** `what`: their name in the refusal, as "searches". */
  constructor(
    private readonly max: number,
    private readonly what: string,
  ) {}

  /** Throws `overloaded` while as many run. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= this.max)
      throw new InterleaveError('overloaded', `Expected at most ${this.max} ${this.what} at a time; try again in a moment`, {
        retryAfterSeconds: 1,
      });
    this.running += 1;
    try {
      return await work();
    } finally {
      this.running -= 1;
    }
  }
}
