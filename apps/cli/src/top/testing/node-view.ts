import { HISTORY_SERIES, type ActiveBatchView, type LaneView, type NodeHistory, type NodeView } from '@app/contracts';

export const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

const lane = (changes: Partial<LaneView>): LaneView => ({
  lane: 'realtime',
  rowsPerSecond: 212.4,
  rowsPerRun: 2,
  requestsPerSecond: 148,
  p50Ms: 6.2,
  p95Ms: 13.9,
  p99Ms: 18.1,
  refusedPerSecond: 0,
  errorsPerSecond: 0,
  queueItems: 3,
  queueMs: 4.7,
  queueMsIsLeast: false,
  paddingShare: 0.08,
  minute: { requests: 8_892, p99Ms: 18.4, refused: 0, overShare: 0 },
  goal: { model: 'encoder', goalMs: 80, p99Ms: 18.4 },
  ...changes,
});

export const batch = (id: string, changes: Partial<ActiveBatchView> = {}): ActiveBatchView => ({
  id,
  status: 'in_progress',
  model: 'encoder',
  endpoint: '/v1/embeddings',
  total: 20_000,
  completed: 11_800,
  failed: 200,
  runningChunks: 6,
  rowsPerSecond: 701,
  secondsLeft: { expected: 11.6, low: 8, high: 15 },
  paused: null,
  ...changes,
});

/** A node with both lanes at work. */
export function nodeView(changes: Partial<NodeView> = {}): NodeView {
  const idle = { ...lane({}), lane: 'batch' as const, requestsPerSecond: 0, p50Ms: null, p95Ms: null, p99Ms: null, goal: null };
  return {
    atMs: AT_MS,
    version: '0.2.0',
    node: {
      id: 'node-a',
      uptimeSeconds: 81_234,
      notReady: null,
      folderProblem: null,
      redisIsReady: true,
      preemption: { verdict: 'holds', reason: '' },
      disk: null,
      eventLoopDelayMs: 1.8,
    },
    verdict: { level: 'ok', text: 'Live is fine: p99 18 ms of 80 ms goal. Batch lane uses 61 % of the idle CPU.', details: [] },
    lanes: [lane({}), { ...idle, rowsPerSecond: 934, queueItems: 768, queueMs: 412_000, queueMsIsLeast: true }],
    inflation: [],
    changes: [],
    cpus: [0, 1].map((cpu) => ({
      cpu,
      socket: 0,
      numaNode: 0,
      core: 0,
      thread: cpu,
      partition: 'default',
      class: 'burstable' as const,
      shares: { live: 0.25, batch: 0.5, system: 0.05, idle: 0.2 },
      workers: [],
    })),
    gpus: [],
    isolation: [],
    workers: [],
    processes: [],
    models: [],
    costTables: [],
    batches: [batch('batch_one'), batch('batch_two', { paused: 'paused by request', secondsLeft: null, rowsPerSecond: null })],
    batchLane: {
      idleShareUsed: 0.61,
      rowsPerSecond: 934,
      limit: null,
      executors: { allowed: 2, all: 2 },
      reason: null,
      isHeldOff: false,
      guards: [],
      chunks: null,
    },
    frontDoor: null,
    breakers: null,
    fleet: null,
    events: [
      { id: 1, atMs: AT_MS, kind: 'node', level: 'ok', text: 'The node started.', meaning: '', advice: null, subject: null },
      {
        id: 2,
        atMs: AT_MS + 1_000,
        kind: 'restart',
        level: 'watch',
        text: 'default-batch was restarted.',
        meaning: '',
        advice: 'Look at the model.',
        subject: 'default-batch',
      },
    ],
    cut: { models: 0, cpus: 0, batches: 0 },
    ...changes,
  };
}

export const nodeHistory = (): NodeHistory => ({
  stepMs: 2_000,
  series: HISTORY_SERIES,
  points: [0, 1, 2, 3].map((at) => ({ atMs: AT_MS + at * 2_000, values: HISTORY_SERIES.map(() => at) })),
});
