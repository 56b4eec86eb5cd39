import { Scrape } from '../../../test/support/metrics';

/** As the dispatcher of llm-d has them: age of the metrics that it decides by, and the share of the capacity that it leaves. */
const AGE_MS = 5000;
const BASELINE = 0.05;

/** How many requests may be in flight: capacity × (1 − saturation − baseline); saturation: requests at the server ÷ capacity. */
export const budgetOf = (requests: number, capacity: number): number =>
  Math.floor(capacity * Math.min(1, Math.max(0, 1 - requests / capacity - BASELINE)));

/** The budget by the server's metrics, read anew every 5 s. Closed until they are read for the first time. */
export class Gate {
  private budget = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly url: string,
    private readonly capacity: number,
  ) {
    this.timer = setInterval(() => void this.look(), AGE_MS);
    void this.look();
  }

  allows(inFlight: number): boolean {
    return inFlight < this.budget;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    const metrics = await Scrape.of(this.url);
    const requests = metrics.sum('nv_inference_pending_request_count') + metrics.sum('nv_inference_exec_count');
    this.budget = budgetOf(requests, this.capacity);
  }
}
