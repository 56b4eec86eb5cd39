import { Counter, Gauge, Registry } from 'prom-client';
import { PREEMPTION_VERDICTS, type PreemptionProof } from '@app/contracts';
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

  constructor(processes: () => readonly SupervisedProcess[], preemption: PreemptionProof) {
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
    this.observePreemption(preemption);
  }

  private observePreemption({ verdict, p50Ms, p99Ms }: PreemptionProof): void {
    const registers = [this.registry];
    const verdicts = new Gauge({
      name: 'interleave_preemption',
      help: 'Whether batch executors give way to live ones, by the test at the start: 1 for the verdict',
      labelNames: ['verdict'],
      registers,
    });
    for (const other of PREEMPTION_VERDICTS) verdicts.set({ verdict: other }, other === verdict ? 1 : 0);
    const delays = new Gauge({
      name: 'interleave_wakeup_delay_seconds',
      help: 'How late a live executor ran beside a batch executor on its CPU, by the test at the start',
      labelNames: ['quantile'],
      registers,
    });
    if (p50Ms !== null) delays.set({ quantile: '0.5' }, p50Ms / 1000);
    if (p99Ms !== null) delays.set({ quantile: '0.99' }, p99Ms / 1000);
  }

  restarted(processId: string): void {
    this.restarts.inc({ process: processId });
  }
}
