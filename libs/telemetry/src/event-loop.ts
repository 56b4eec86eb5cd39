import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/** Each sample is a wake-up, of each process, which interrupts an executor where all CPUs have one. */
const SAMPLE_MS = 100;
/** A reading is of the time since the last but one of these steps ended, however many read. */
const STEP_MS = 15_000;
const QUANTILES = [50, 99, 100] as const;

/**
 * Registers `interleave_event_loop_delay_seconds{process,quantile}`: how late timers of this process fire over the last 15 to 30 s,
 * less the sampling interval (Node's histogram counts the interval itself). Of two steps the worse one holds.
 */
export function observeEventLoop(registry: Registry, processId: string): void {
  const histogram = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  histogram.enable();
  const read = (): number[] =>
    QUANTILES.map((quantile) => Math.max(0, (histogram.count === 0 ? 0 : histogram.percentile(quantile)) / 1e9 - SAMPLE_MS / 1e3));
  let stepEndsMs = performance.now() + STEP_MS;
  let before: number[] = [];
  new Gauge({
    name: 'interleave_event_loop_delay_seconds',
    help: 'Delay of the event loop over the last 15 to 30 s',
    labelNames: ['process', 'quantile'],
    registers: [registry],
    collect() {
      const now = read();
      for (const [index, quantile] of QUANTILES.entries())
        this.set({ process: processId, quantile: String(quantile / 100) }, Math.max(now[index] ?? 0, before[index] ?? 0));
      if (performance.now() < stepEndsMs) return;
      stepEndsMs = performance.now() + STEP_MS;
      before = now;
      histogram.reset();
    },
  });
}
