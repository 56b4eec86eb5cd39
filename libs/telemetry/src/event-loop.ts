import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/** Each sample is a wake-up, of each process, which interrupts an executor where all CPUs have one. */
const SAMPLE_MS = 20;

/**
 * Registers `interleave_event_loop_delay_seconds{process,quantile}`: how late timers of this process fire since the last
 * scrape, less the sampling interval (Node's histogram counts the interval itself).
 */
export function observeEventLoop(registry: Registry, processId: string): void {
  const histogram = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  histogram.enable();
  new Gauge({
    name: 'interleave_event_loop_delay_seconds',
    help: 'Delay of the event loop since the last scrape',
    labelNames: ['process', 'quantile'],
    registers: [registry],
    collect() {
      for (const quantile of [50, 99, 100]) {
        const delayNs = histogram.count === 0 ? 0 : histogram.percentile(quantile);
        this.set({ process: processId, quantile: String(quantile / 100) }, Math.max(0, delayNs / 1e9 - SAMPLE_MS / 1e3));
      }
      histogram.reset();
    },
  });
}
