import type { CalibrationStatus } from '@app/contracts';
import type { WorkerModelStats } from '@app/native';
import { Registry } from 'prom-client';
import { registerCalibrationState, registerIsolation, registerModelStates, registerWorkerMetrics } from './worker-metrics';

const STATS: WorkerModelStats = {
  name: 'encoder',
  version: '1',
  rows: 12,
  realTokens: 100,
  paddingTokens: 20,
  runSeconds: 1.5,
  runRows: [
    { rowsMax: 1, runs: 2 },
    { rowsMax: 8, runs: 3 },
    { rowsMax: null, runs: 4 },
  ],
  costRatios: [
    { ratioMax: 0.9, runs: 1 },
    { ratioMax: 1.1, runs: 3 },
    { ratioMax: null, runs: 4 },
  ],
  costRatioSum: 4.25,
  formations: [
    { secondsMax: 0.00001, runs: 3 },
    { secondsMax: null, runs: 4 },
  ],
  formationSeconds: 0.0005,
  duplicates: 6,
  items: {
    ok: 10,
    invalid: 1,
    failed: 0,
    'deadline-exceeded': 0,
    cancelled: 0,
    'response-too-large': 0,
    unavailable: 0,
    'queue-full': 0,
    'run-timeout': 0,
    gone: 0,
  },
  queueItems: 7,
  queueAgeSeconds: 0.25,
};

describe('metrics of a worker', () => {
  const registry = new Registry();
  let stats = STATS;
  registerWorkerMetrics(registry, { id: 'all-batch', lane: 'batch' }, () => [stats]);
  const labels = 'model="encoder",version="1",lane="batch",worker="all-batch"';

  it('are what the native side has counted', async () => {
    const lines = (await registry.metrics()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        `interleave_tokens_total{${labels},kind="real"} 100`,
        `interleave_tokens_total{${labels},kind="padded"} 20`,
        `interleave_items_total{${labels},outcome="ok"} 10`,
        `interleave_items_total{${labels},outcome="invalid"} 1`,
        `interleave_run_seconds_total{${labels}} 1.5`,
        `interleave_queue_items{${labels}} 7`,
        `interleave_queue_age_seconds{${labels}} 0.25`,
        `interleave_run_rows_bucket{le="1",${labels}} 2`,
        `interleave_run_rows_bucket{le="8",${labels}} 3`,
        `interleave_run_rows_bucket{le="+Inf",${labels}} 4`,
        `interleave_run_rows_sum{${labels}} 12`,
        `interleave_run_rows_count{${labels}} 4`,
        `interleave_batch_rows_bucket{le="8",${labels}} 3`,
        `interleave_batch_formation_seconds_count{${labels}} 4`,
        `interleave_duplicates_total{${labels}} 6`,
        `interleave_run_formation_seconds_bucket{le="0.00001",${labels}} 3`,
        `interleave_run_formation_seconds_bucket{le="+Inf",${labels}} 4`,
        `interleave_run_formation_seconds_sum{${labels}} 0.0005`,
        `interleave_run_formation_seconds_count{${labels}} 4`,
        `interleave_cost_ratio_bucket{le="1.1",${labels}} 3`,
        `interleave_cost_ratio_bucket{le="+Inf",${labels}} 4`,
        `interleave_cost_ratio_sum{${labels}} 4.25`,
        `interleave_cost_ratio_count{${labels}} 4`,
      ]),
    );
  });

  it('say where the costs of a model come from, also after it has changed', async () => {
    let state: CalibrationStatus['state'] = 'measuring';
    registerCalibrationState(registry, { id: 'all-batch', lane: 'batch' }, () => [{ name: 'encoder', version: '1', state, reason: null }]);
    await registry.metrics();
    state = 'measured';
    const lines = (await registry.metrics()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        `interleave_calibration_state{${labels},state="measuring"} 0`,
        `interleave_calibration_state{${labels},state="measured"} 1`,
      ]),
    );
  });

  it('say which models can be run', async () => {
    const states = new Registry();
    const worker = { id: 'all-realtime', lane: 'realtime' as const };
    registerModelStates(states, worker, () => [
      { name: 'good', version: '1', state: 'ready' },
      { name: 'bad', version: '2', state: 'failed' },
    ]);
    const text = await states.metrics();
    expect(text.match(/^interleave_model_state\{.* 1$/gm)).toEqual([
      'interleave_model_state{model="good",version="1",lane="realtime",worker="all-realtime",state="ready"} 1',
      'interleave_model_state{model="bad",version="2",lane="realtime",worker="all-realtime",state="failed"} 1',
    ]);
  });

  it('count executors and the process by the state of each isolation tool', async () => {
    const pinned = { tool: 'cpu-affinity', state: 'active', reason: null } as const;
    registerIsolation(registry, { id: 'all-batch', lane: 'batch' }, () => [
      pinned,
      pinned,
      { tool: 'memory-limit', state: 'off', reason: 'none set' },
    ]);
    await registry.metrics();
    const lines = (await registry.metrics()).split('\n');
    const ofTool = (tool: string, state: string): string =>
      `interleave_isolation_tools{lane="batch",worker="all-batch",tool="${tool}",state="${state}"}`;
    expect(lines).toEqual(
      expect.arrayContaining([
        `${ofTool('cpu-affinity', 'active')} 2`,
        `${ofTool('cpu-affinity', 'unavailable')} 0`,
        `${ofTool('memory-limit', 'off')} 1`,
      ]),
    );
  });

  it('count nothing twice when they are read again', async () => {
    stats = { ...STATS, realTokens: 130 };
    await registry.metrics();
    expect(await registry.metrics()).toContain(`interleave_tokens_total{${labels},kind="real"} 130\n`);
  });
});
