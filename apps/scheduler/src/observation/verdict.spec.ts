import type { ActiveBatchView, FleetView, ModelView, NodeEvent, NodeView, ProcessView, WorkerView } from '@app/contracts';
import { lane, quietView } from './testing/views';
import { verdictOf } from './verdict';

const live = (
  p99Ms: number,
  goalMs: number | null,
  more: { requests?: number; refused?: number; overShare?: number } = {},
): Pick<NodeView, 'lanes'> => ({
  lanes: [
    lane('realtime', {
      minute: { requests: 1000, refused: 0, overShare: 0, ...more, p99Ms },
      goal: goalMs === null ? null : { model: 'm', goalMs, p99Ms },
    }),
    lane('batch'),
  ],
});
const quiet = quietView();
const batch = (paused: string | null) => ({ id: 'b', paused, status: 'in_progress' }) as ActiveBatchView;
const worker = (more: Partial<WorkerView>): WorkerView => ({
  ...{ id: 'default-batch', lane: 'batch', partition: 'default', cpus: [0], pid: 1, state: 'serving', restarts: 0, reason: null },
  ...{ queueItems: 0, queueAgeSeconds: 0, memory: null },
  ...more,
});
const restart = (ageMs: number): NodeEvent => {
  return {
    id: 1,
    atMs: quiet.atMs - ageMs,
    kind: 'restart',
    level: 'watch',
    text: '',
    meaning: '',
    advice: null,
    subject: 'default-batch',
  };
};
const model = (name: string, state: ModelView['state']) => ({ name, version: '1', state, goalMs: null }) as ModelView;
const process = (id: string): ProcessView => ({ id, pid: 1, state: 'ready', restarts: 0, reason: null, residentBytes: null });
const busy = { batches: [batch(null)], batchLane: { ...quiet.batchLane, idleShareUsed: 0.61 } };
const killed = worker({ restarts: 1, reason: 'signal SIGKILL' });

describe('the verdict', () => {
  it.each<[string, Partial<NodeView>, NodeView['verdict']['level'], string]>([
    ['nothing to do', {}, 'ok', 'Live is idle: no requests in the last minute. Batch lane is idle: no batch is open.'],
    ['all well', { ...live(18, 80), ...busy }, 'ok', 'Live is fine: p99 18 ms of 80 ms goal. Batch lane uses 61 % of the idle CPU.'],
    ['no goal', { ...live(18.24, null) }, 'ok', 'Live is fine: p99 18.2 ms, no goal is set. Batch lane is idle: no batch is open.'],
    [
      'a goal, and few answers',
      { ...live(18.24, null, { requests: 4 }), models: [{ ...model('m', 'serving'), goalMs: 80 }] },
      'ok',
      'Live is fine: p99 18.2 ms, too few answers to judge the goal. Batch lane is idle: no batch is open.',
    ],
    [
      'no runner',
      { processes: [process('runner')], batchLane: { ...quiet.batchLane, chunks: null } },
      'watch',
      'The runner does not answer, so batches wait. Live is idle: no requests in the last minute.',
    ],
    [
      'a runner that nobody starts',
      { batchLane: { ...quiet.batchLane, chunks: null } },
      'ok',
      'Live is idle: no requests in the last minute. Nothing is known of batches: no runner answers here.',
    ],
    [
      'batches of other nodes',
      { batchLane: { ...quiet.batchLane, chunks: { running: 2, waiting: 0 }, idleShareUsed: 0.61 } },
      'ok',
      'Live is idle: no requests in the last minute. Batch lane uses 61 % of the idle CPU for batches of other nodes.',
    ],
    [
      'paused batches',
      { batches: [batch('by an operator')] },
      'ok',
      'Live is idle: no requests in the last minute. Batches are paused: by an operator.',
    ],
    ['near the goal', live(73, 80), 'watch', 'Live is near its goal: p99 73 ms of 80 ms goal. Batch lane is idle: no batch is open.'],
    ['late', { ...live(120, 80), ...busy }, 'bad', 'Live is late: p99 120 ms of 80 ms goal. Batch lane uses 61 % of the idle CPU.'],
    [
      'some refused',
      live(18, 80, { refused: 20 }),
      'watch',
      'Live refuses 2 % of its requests, p99 18 ms of 80 ms goal. Batch lane is idle: no batch is open.',
    ],
    [
      'many refused',
      live(18, 80, { refused: 90 }),
      'bad',
      'Live requests are refused: 9 % of the last minute, p99 18 ms of 80 ms goal. Batch lane is idle: no batch is open.',
    ],
    [
      'a tenant over its share',
      live(18, 80, { requests: 1000, refused: 603, overShare: 600 }),
      'ok',
      'Live is fine: p99 18 ms of 80 ms goal. Batch lane is idle: no batch is open.',
    ],
    [
      'a tenant over its share, and others refused',
      live(18, 80, { requests: 1000, refused: 620, overShare: 600 }),
      'bad',
      'Live requests are refused: 5 % of the last minute, p99 18 ms of 80 ms goal. Batch lane is idle: no batch is open.',
    ],
    [
      'not ready yet',
      { node: { ...quiet.node, uptimeSeconds: 5, notReady: 'loading: m/1' } },
      'watch',
      'The node is not ready: loading: m/1. Live is idle: no requests in the last minute.',
    ],
    [
      'never ready',
      { node: { ...quiet.node, notReady: 'no model is ready' } },
      'bad',
      'The node is not ready: no model is ready. Live is idle: no requests in the last minute.',
    ],
    [
      'no API',
      { frontDoor: null, breakers: null, lanes: [lane('realtime', { minute: null }), lane('batch')] },
      'bad',
      'The API does not answer. Batch lane is idle: no batch is open.',
    ],
    [
      'a worker down',
      { workers: [worker({ lane: 'realtime', id: 'default-realtime', state: 'backoff', reason: 'exit code 1' })] },
      'bad',
      'Worker default-realtime does not serve and waits for its next start: it ended by itself (exit code 1). Live is idle: no requests in the last minute.',
    ],
    [
      'a worker that does not answer, and died long ago',
      { workers: [worker({ lane: 'realtime', id: 'default-realtime', state: 'silent', reason: 'exit code 1' })] },
      'bad',
      'Worker default-realtime does not answer. Live is idle: no requests in the last minute.',
    ],
    [
      'a worker that missed one answer',
      { workers: [worker({ lane: 'realtime', id: 'default-realtime', state: 'ready', reason: 'exit code 1' })] },
      'ok',
      'Live is idle: no requests in the last minute. Batch lane is idle: no batch is open.',
    ],
    [
      'one restart',
      { ...live(18, 80), workers: [killed], events: [restart(60_000)] },
      'watch',
      'Worker default-batch was restarted once in 15 minutes: it was killed (SIGKILL). Live is fine: p99 18 ms of 80 ms goal.',
    ],
    [
      'a storm',
      { workers: [killed], events: Array.from({ length: 6 }, () => restart(1_000)) },
      'bad',
      'Worker default-batch was restarted 6 times in 15 minutes: it was killed (SIGKILL). Live is idle: no requests in the last minute.',
    ],
    [
      'an old restart',
      { workers: [killed], events: [restart(16 * 60_000)] },
      'ok',
      'Live is idle: no requests in the last minute. Batch lane is idle: no batch is open.',
    ],
    [
      'failed models',
      { models: ['a', 'b', 'c', 'd'].map((name) => model(name, 'failed')) },
      'watch',
      'Models are not served because they could not be loaded: a version 1, b version 1, c version 1 and 1 more. Live is idle: no requests in the last minute.',
    ],
    [
      'quarantine',
      { models: [model('a', 'quarantined'), model('b', 'failed')] },
      'bad',
      'Models are out of service because they kill workers: a version 1. Live is idle: no requests in the last minute.',
    ],
    [
      'paused for live',
      { batchLane: { ...quiet.batchLane, limit: 'paused', reason: 'm: p99 90 ms of 80 ms' } },
      'watch',
      'Batches wait for live requests: m: p99 90 ms of 80 ms. Live is idle: no requests in the last minute.',
    ],
    [
      'unreachable goal',
      { batchLane: { ...quiet.batchLane, limit: 'unreachable' } },
      'bad',
      'Live misses its goal even without batches. Live is idle: no requests in the last minute.',
    ],
    [
      'inflation',
      {
        inflation: [
          { worker: 'w', model: 'm', version: '1', inflation: 1.25, sharedP99Ms: 5, aloneP99Ms: 4, sharedAnswers: 1, aloneAnswers: 1 },
        ],
      },
      'watch',
      'Batches make live requests of m 25 % slower. Live is idle: no requests in the last minute.',
    ],
    [
      'no Redis',
      { node: { ...quiet.node, redisIsReady: false } },
      'watch',
      'Redis does not answer, so batches wait. Live is idle: no requests in the last minute.',
    ],
    [
      'a full disk',
      { node: { ...quiet.node, disk: { freeBytes: 1, sizeBytes: 100, hasBatchFiles: true } } },
      'bad',
      'The disk is full. Live is idle: no requests in the last minute.',
    ],
    [
      'an open breaker',
      { breakers: [{ name: 'model m 1', state: 'open', sinceMs: 0, reason: 'half of 20 calls failed', opened: 1 }] },
      'watch',
      'Calls of model m 1 are refused for a while: half of 20 calls failed. Live is idle: no requests in the last minute.',
    ],
    [
      'a lost node',
      { fleet: { lost: [{ id: 'n2', lastSeenMs: 0, last: null }] } as unknown as FleetView },
      'watch',
      'Nodes are lost: n2. Live is idle: no requests in the last minute.',
    ],
  ])('%s', (_name, changes, level, text) => {
    const verdict = verdictOf(quietView(changes));
    expect({ level: verdict.level, text: verdict.text }).toEqual({ level, text });
    for (const detail of verdict.details) if (detail.level === 'bad') expect(detail.advice).not.toBeNull();
  });

  it('says the worst first, and all of it in the details', () => {
    const { text, details } = verdictOf(
      quietView({ ...live(120, 80), models: [model('a', 'failed')], node: { ...quiet.node, redisIsReady: false } }),
    );
    expect(text).toMatch(/^Live is late/);
    expect(details.map(({ level }) => level)).toEqual(['bad', 'watch', 'watch', 'ok']);
  });

  it.each([
    [true, /^Delete old files and batches/],
    [false, /^Give the data directory more room/],
  ])('has advice for a full disk that helps, with files of batches on it: %s', (hasBatchFiles, advice) => {
    const node = { ...quiet.node, disk: { freeBytes: 1, sizeBytes: 100, hasBatchFiles } };
    expect(verdictOf(quietView({ node })).details[0]?.advice).toMatch(advice);
  });

  it.each([
    ['without a model', [], 5, /^Put a model into MODELS_DIR/],
    ['without a model for long', [], 500, /^Put a model into MODELS_DIR/],
    ['with models that do not load', [model('a', 'failed')], 500, /^Look at the models/],
  ])('has advice for a node that is not ready, %s', (_name, models, uptimeSeconds, advice) => {
    const node = { ...quiet.node, uptimeSeconds, notReady: 'no model is placed on the real-time lane' };
    expect(verdictOf(quietView({ node, models })).details[0]?.advice).toMatch(advice);
  });

  it('says why MODELS_DIR cannot be read, instead of what to put there', () => {
    const folderProblem = 'MODELS_DIR cannot be read: no such file; create the folder or set MODELS_DIR';
    const node = { ...quiet.node, notReady: 'no model is placed on the real-time lane', folderProblem };
    expect(verdictOf(quietView({ node })).details[0]?.advice).toBe(`${folderProblem}.`);
  });

  it('names the model where several have goals', () => {
    const models = [
      { ...model('m', 'serving'), goalMs: 80 },
      { ...model('n', 'serving'), goalMs: 50 },
    ];
    expect(verdictOf(quietView({ ...live(18, 80), models })).text).toMatch(/^Live is fine: p99 18 ms of 80 ms goal \(m\)\./);
  });
});
