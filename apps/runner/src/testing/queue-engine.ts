import type { RowCost, RowRequest } from '../chunks/row-engine';
import { EchoEngine } from './echo-engine';

interface Waiting {
  input: string;
  resolve: (body: object) => void;
}

/** One executor that takes rows in the order of asking, some each millisecond, however fast the machine is. Inputs are `<batch>…`. */
export class QueueEngine extends EchoEngine {
  /** Inputs in the order of their answers. */
  readonly answered: string[] = [];
  /** Rows wait. */
  isHeld = false;
  private waiting: Waiting[] = [];
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly rowsPerTick: number) {
    super();
  }

  override answer({ body }: RowRequest, signal: AbortSignal): Promise<object> {
    const { input } = body as { input: string };
    return new Promise((resolve, reject) => {
      const one: Waiting = { input, resolve };
      this.waiting.push(one);
      signal.addEventListener('abort', () => {
        this.waiting = this.waiting.filter((other) => other !== one);
        reject(new Error('aborted'));
      });
      this.timer ??= setInterval(() => this.tick(), 1);
    });
  }

  override secondsPerRow(): number {
    return 0.001;
  }

  override async predict(): Promise<RowCost> {
    return { seconds: 0.001, lengths: [] };
  }

  private tick(): void {
    if (this.isHeld) return;
    for (const { input, resolve } of this.waiting.splice(0, this.rowsPerTick)) {
      this.answered.push(input);
      resolve({ echo: input });
    }
    if (this.waiting.length > 0 || this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
  }
}
