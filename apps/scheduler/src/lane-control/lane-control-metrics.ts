import { BATCH_CONTROL_STATES, type LaneControlStatus } from '@app/contracts';
import { Counter, Gauge, type Registry } from 'prom-client';

/** What the lane control tells Prometheus; `status` is read at every scrape. Unknown values have no series. */
export function registerLaneControl(registry: Registry, status: () => LaneControlStatus): void {
  registerBatchWorkers(registry, () => status().batchWorkers);
  registerGuards(registry, () => status().guards);
  const inflation = ['worker', 'model', 'version'];
  gauges(
    registry,
    'interleave_inflation_ratio',
    'p99 of live answers beside batch runs, divided by that in slots without any',
    inflation,
    () => status().inflation.map(({ worker, model, version, inflation: value }) => ({ labels: { worker, model, version }, value })),
  );
  gauges(
    registry,
    'interleave_service_p99_seconds',
    'p99 from enqueue to answer beside batch runs (shared) and in slots without any (alone)',
    [...inflation, 'company'],
    () =>
      status().inflation.flatMap(({ worker, model, version, sharedP99Ms, aloneP99Ms }) => [
        { labels: { worker, model, version, company: 'shared' }, value: secondsOf(sharedP99Ms) },
        { labels: { worker, model, version, company: 'alone' }, value: secondsOf(aloneP99Ms) },
      ]),
  );
  counters(
    registry,
    'interleave_held_off_slots_total',
    'One-second slots in which the batch lane was held off to see what it costs',
    [],
    () => [{ labels: {}, value: status().heldOffSlots }],
  );
}

function registerBatchWorkers(registry: Registry, workers: () => LaneControlStatus['batchWorkers']): void {
  gauges(registry, 'interleave_slo_slack', '(goal - p99) / goal of the live model that is nearest to its goal', ['worker'], () =>
    workers().map(({ worker, slack }) => ({ labels: { worker }, value: slack })),
  );
  gauges(registry, 'interleave_batch_executors_allowed', 'Batch executors that may begin runs; 0: only the floor', ['worker'], () =>
    workers().map(({ worker, executors }) => ({ labels: { worker }, value: executors })),
  );
  gauges(registry, 'interleave_batch_run_seconds_max', 'Longest predicted batch run', ['worker'], () =>
    workers().map(({ worker, runMsMax }) => ({ labels: { worker }, value: runMsMax / 1000 })),
  );
  gauges(
    registry,
    'interleave_batch_control_state',
    'How far the batch lane is limited: 1 for the state that holds',
    ['worker', 'state'],
    () =>
      workers().flatMap(({ worker, state }) =>
        BATCH_CONTROL_STATES.map((other) => ({ labels: { worker, state: other }, value: other === state ? 1 : 0 })),
      ),
  );
  counters(registry, 'interleave_batch_floor_runs_total', 'Batch runs that the floor allowed', ['worker'], () =>
    workers().map(({ worker, floorRuns }) => ({ labels: { worker }, value: floorRuns })),
  );
}

function registerGuards(registry: Registry, guards: () => LaneControlStatus['guards']): void {
  gauges(
    registry,
    'interleave_guard_executors_withdrawn',
    'Executors of each batch worker that the bandwidth guard of a live worker withdraws',
    ['worker'],
    () => guards().map(({ worker, withdrawn }) => ({ labels: { worker }, value: withdrawn })),
  );
  counters(registry, 'interleave_guard_withdrawals_total', 'Times the bandwidth guard withdrew a batch executor', ['worker'], () =>
    guards().map(({ worker, withdrawals }) => ({ labels: { worker }, value: withdrawals })),
  );
  gauges(
    registry,
    'interleave_guard_cost_ratio',
    'Cost of live runs beside batch runs, divided by that of quiet ones (latest), and where the guard acts (limit)',
    ['worker', 'kind'],
    () =>
      guards().flatMap(({ worker, ratio, limit }) => [
        { labels: { worker, kind: 'latest' }, value: ratio },
        { labels: { worker, kind: 'limit' }, value: limit },
      ]),
  );
}

interface Series {
  labels: Record<string, string>;
  value: number | null;
}

const secondsOf = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

function gauges(registry: Registry, name: string, help: string, labelNames: string[], read: () => Series[]): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of read()) if (value !== null) this.set(labels, value);
    },
  });
}

function counters(registry: Registry, name: string, help: string, labelNames: string[], read: () => Series[]): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.inc(labels, value ?? 0);
    },
  });
}
