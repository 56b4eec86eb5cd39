import type { TracingConfig } from '@app/contracts';
import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { TracedProcess } from './sdk';
import type { Tracing } from './tracing';

/** Null: nothing is traced, and the SDK of OpenTelemetry is not loaded (prom-client loads its API anyway). One at a time in a process. */
export function openTracing(config: TracingConfig | null, process: TracedProcess, log: Logger): Tracing | null {
  if (config === null) return null;
  const { startSdk } = require('./sdk') as typeof import('./sdk');
  return startSdk(config, process, log);
}

/** Registers `interleave_spans_total{process,outcome}`. */
export function observeTracing(registry: Registry, processId: string, tracing: Tracing | null): void {
  new Counter({
    name: 'interleave_spans_total',
    help: 'Spans of traces that the collector took, or that were dropped because it did not or the queue was full',
    labelNames: ['process', 'outcome'],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ process: processId, outcome: 'exported' }, tracing?.counts.exported ?? 0);
      this.inc({ process: processId, outcome: 'dropped' }, tracing?.counts.dropped ?? 0);
    },
  });
}
