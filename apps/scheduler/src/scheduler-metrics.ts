import { Counter, Gauge, Registry } from 'prom-client';
import { observeEventLoop } from '@app/telemetry';
import type { SupervisedProcess } from './supervision/supervised-process';

/** What the scheduler tells Prometheus about the processes it looks after. */
export class SchedulerMetrics {
  readonly registry = new Registry();
  private readonly restarts = new Counter({
    name: 'interleave_process_restarts_total',
    help: 'Times a process was started again after it ended',
    labelNames: ['process'],
    registers: [this.registry],
  });

  constructor(processes: () => readonly SupervisedProcess[]) {
    new Gauge({
      name: 'interleave_process_up',
      help: '1 while the process answers, else 0',
      labelNames: ['process'],
      registers: [this.registry],
      collect() {
        for (const { spec, state } of processes()) this.set({ process: spec.id }, state === 'ready' ? 1 : 0);
      },
    });
    observeEventLoop(this.registry, 'scheduler');
  }

  restarted(processId: string): void {
    this.restarts.inc({ process: processId });
  }
}
