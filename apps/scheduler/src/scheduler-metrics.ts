import { Counter, Gauge, Registry } from 'prom-client';
import { PREEMPTION_VERDICTS, type ModelOfLane, type Placement, type PreemptionProof } from '@app/contracts';
import { observeProcess } from '@app/telemetry';
import type { SupervisedProcess } from './supervision/supervised-process';
import type { SupervisorEvents } from './supervision/supervisor-events';

const MODEL_LABELS = ['model', 'version', 'lane'];
const NS_PER_S = 1e9;

/** What the scheduler tells Prometheus about the processes it looks after. */
export class SchedulerMetrics {
  readonly registry = new Registry();
  private readonly restarts = new Counter({
    name: 'interleave_process_restarts_total',
    help: 'Times a process was started again after it ended',
    labelNames: ['process'],
    registers: [this.registry],
  });

  private readonly deaths = new Counter({
    name: 'interleave_model_worker_deaths_total',
    help: 'Workers that died of a model: of a fault in a run or while loading it, or of a run that could not be ended',
    labelNames: MODEL_LABELS,
    registers: [this.registry],
  });

  constructor(processes: readonly SupervisedProcess[], placement: Placement, preemption: PreemptionProof, events: SupervisorEvents) {
    events.on('restart', ({ id }) => this.restarts.inc({ process: id }));
    new Gauge({
      name: 'interleave_model_quarantined',
      help: '1 for a model that killed too many workers of a lane and is not run there any more',
      labelNames: MODEL_LABELS,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { name, version, lane } of placement.quarantined ?? []) this.set({ model: name, version, lane }, 1);
      },
    });
    new Gauge({
      name: 'interleave_slo_seconds',
      help: 'Goal for the p99 of live answers (realtime.sloMs in model.yaml)',
      labelNames: ['model', 'version'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { models } of placement.workers.filter(({ lane }) => lane === 'realtime'))
          for (const { name, version, sloMs } of models) if (sloMs !== null) this.set({ model: name, version }, sloMs / 1000);
      },
    });
    new Gauge({
      name: 'interleave_worker_oldest_run_seconds',
      help: 'For how long a worker has been busy with what it began first: a run, or loading a model; 0 when it is idle',
      labelNames: ['worker'],
      registers: [this.registry],
      collect() {
        for (const worker of processes.filter(({ spec }) => spec.heartbeatSlots !== null))
          this.set({ worker: worker.spec.id }, oldestRunSeconds(worker));
      },
    });
    new Gauge({
      name: 'interleave_process_up',
      help: '1 while the process answers, else 0',
      labelNames: ['process'],
      registers: [this.registry],
      collect() {
        for (const { spec, state } of processes) this.set({ process: spec.id }, state === 'ready' ? 1 : 0);
      },
    });
    observeProcess(this.registry, 'scheduler');
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

  workerDied({ name, version, lane }: ModelOfLane): void {
    this.deaths.inc({ model: name, version, lane });
  }
}

function oldestRunSeconds({ activities }: SupervisedProcess): number {
  const nowNs = process.hrtime.bigint();
  const agesNs = activities.map(({ sinceNs }) => Number(nowNs - sinceNs));
  return Math.max(0, ...agesNs) / NS_PER_S;
}
