import type { RepositoryEvent } from '@app/contracts';
import { eventsBetween } from './events-between';
import type { NodeFactsNow } from './node-facts';

const nodes: NonNullable<NodeFactsNow['nodes']> = [{ id: 'a', state: 'ready' }];
const quiet: NodeFactsNow = {
  processes: [
    { id: 'default-realtime', restarts: 0, reason: null, lane: 'realtime' },
    { id: 'default-batch', restarts: 1, reason: 'exit code 0', lane: 'batch' },
    { id: 'runner', restarts: 0, reason: null, lane: null },
  ],
  readiness: { notReady: null },
  redisIsReady: true,
  control: [{ worker: 'default-batch', state: 'open', reason: null }],
  quarantined: [],
  repositoryEvents: [],
  breakers: [],
  fallbacks: [],
  begunBatches: [],
  endedBatches: [],
  pausedBatches: [],
  nodes,
  lostNodes: [],
  disk: { level: 'ok', hasBatchFiles: true },
};
/** As it is until the other processes have answered. */
const unknown: Partial<NodeFactsNow> = {
  ...{ readiness: null, redisIsReady: null, breakers: null, begunBatches: null, endedBatches: null, pausedBatches: null },
  ...{ nodes: null, lostNodes: null, disk: null },
};
const wrong: Partial<NodeFactsNow> = {
  readiness: { notReady: 'loading: m/1' },
  redisIsReady: false,
  breakers: [{ name: 'x', state: 'open', reason: '' }],
  begunBatches: [{ id: 'b', total: 3, done: 0 }],
  endedBatches: [{ id: 'c', status: 'completed', completed: 2, failed: 1 }],
  pausedBatches: [{ id: 'b', reason: 'by an operator' }],
  nodes: [{ id: 'b', state: 'ready' }],
  lostNodes: ['c'],
  disk: { level: 'bad', hasBatchFiles: true },
};
const killed = (id: string, restarts: number): NodeFactsNow['processes'] =>
  quiet.processes.map((process) => (process.id === id ? { ...process, restarts, reason: 'signal SIGKILL' } : process));
const repository = (kind: RepositoryEvent['kind'], message: string): RepositoryEvent => {
  return { atMs: 1, model: 'm', version: '2', revision: 1, kind, message };
};
const quarantined = {
  name: 'm',
  version: '1',
  lane: 'realtime' as const,
  reason: 'quarantined until 12:00.',
  untilMs: 9,
  periodMs: 9,
  isUnloaded: false,
};

describe('events between two moments', () => {
  it('say of a failed batch where its reason is, also where rows of it failed', () => {
    const after: NodeFactsNow = { ...quiet, endedBatches: [{ id: 'b', status: 'failed', completed: 0, failed: 3 }] };
    expect(eventsBetween(quiet, after)[0]?.advice).toBe('Its page and "interleave batch status" say why.');
  });

  it('are none at the first moment, and none where nothing changed', () => {
    expect(eventsBetween(null, { ...quiet, redisIsReady: false })).toEqual([]);
    expect(eventsBetween(quiet, structuredClone(quiet))).toEqual([]);
  });

  it.each<[string, Partial<NodeFactsNow>, Partial<NodeFactsNow>, [kind: string, level: string, text: string][]]>([
    [
      'a killed live worker',
      {},
      { processes: killed('default-realtime', 1) },
      [['restart', 'bad', 'default-realtime was restarted: it was killed (SIGKILL).']],
    ],
    [
      'two ends within a step',
      {},
      { processes: killed('default-batch', 3) },
      Array(2).fill(['restart', 'watch', 'default-batch was restarted: it was killed (SIGKILL).']),
    ],
    ['not ready', {}, { readiness: { notReady: 'loading: m/1' } }, [['node', 'watch', 'The node is not ready: loading: m/1.']]],
    ['another reason', { readiness: { notReady: 'loading: m/1' } }, { readiness: { notReady: 'loading: n/1' } }, []],
    ['ready', { readiness: { notReady: 'loading: m/1' } }, {}, [['node', 'ok', 'The node is ready.']]],
    ['Redis away', {}, { redisIsReady: false }, [['redis', 'watch', 'Redis does not answer.']]],
    ['Redis back', { redisIsReady: false }, {}, [['redis', 'ok', 'Redis is back.']]],
    ['Redis away at first', { redisIsReady: null }, { redisIsReady: false }, []],
    ['what is wrong when the API first answers', unknown, { ...quiet, ...wrong }, []],
    [
      'batches paused for live',
      {},
      { control: [{ worker: 'default-batch', state: 'paused', reason: 'm: p99 90 ms of 80 ms' }] },
      [['control', 'watch', 'default-batch is paused, after open: m: p99 90 ms of 80 ms.']],
    ],
    [
      'a step within a level',
      { control: [{ worker: 'default-batch', state: 'limited', reason: 'a' }] },
      { control: [{ worker: 'default-batch', state: 'limited', reason: 'b' }] },
      [],
    ],
    [
      'quarantine',
      {},
      { quarantined: [quarantined] },
      [['quarantine', 'bad', 'Model m version 1 is out of service in the realtime lane: it is quarantined until 12:00.']],
    ],
    ['its end', { quarantined: [quarantined] }, {}, [['quarantine', 'ok', 'Model m version 1 is tried again in the realtime lane.']]],
    [
      'a model that does not load',
      {},
      { repositoryEvents: [repository('failed', 'Load model from /m/2/model.onnx failed:Protobuf parsing failed.')] },
      [['model', 'bad', 'Model m version 2: The model file is damaged, or is no ONNX file.']],
    ],
    [
      'a rollback',
      { repositoryEvents: [repository('serving', 'old')] },
      { repositoryEvents: [repository('serving', 'old'), repository('rolled-back', 'p99 is 2 times that of the stable version')] },
      [['release', 'watch', 'Model m version 2: P99 is 2 times that of the stable version.']],
    ],
    ['what operators need not know', {}, { repositoryEvents: [repository('found', 'new files')] }, []],
    [
      'a breaker opens',
      {},
      { breakers: [{ name: 'model m 1', state: 'open', reason: '12 of 20 calls failed' }] },
      [['fallback', 'bad', 'Calls of model m 1 are refused for a while: 12 of 20 calls failed.']],
    ],
    [
      'and is tried',
      { breakers: [{ name: 'x', state: 'open', reason: '' }] },
      { breakers: [{ name: 'x', state: 'half-open', reason: '' }] },
      [],
    ],
    [
      'and closes',
      { breakers: [{ name: 'x', state: 'half-open', reason: '' }] },
      { breakers: [{ name: 'x', state: 'closed', reason: null }] },
      [['fallback', 'ok', 'Calls of x are let through again.']],
    ],
    [
      'another model answers',
      {},
      { fallbacks: [{ model: 'm', by: 'small' }] },
      [['fallback', 'watch', 'Model small stands in for model m.']],
    ],
    ['a batch', {}, { begunBatches: [{ id: 'b', total: 20_000, done: 0 }] }, [['batch', 'ok', 'Batch b began: 20,000 rows.']]],
    ['a batch that others had begun', {}, { begunBatches: [{ id: 'b', total: 20_000, done: 18_000 }] }, []],
    [
      'its end',
      { begunBatches: [{ id: 'b', total: 3, done: 0 }] },
      { begunBatches: [{ id: 'b', total: 3, done: 0 }], endedBatches: [{ id: 'b', status: 'completed', completed: 2, failed: 1 }] },
      [['batch', 'watch', 'Batch b is completed: 2 rows completed, 1 failed.']],
    ],
    [
      'its failure',
      { begunBatches: [{ id: 'b', total: 3, done: 0 }] },
      { begunBatches: [{ id: 'b', total: 3, done: 0 }], endedBatches: [{ id: 'b', status: 'failed', completed: 1, failed: 0 }] },
      [['batch', 'watch', 'Batch b failed: 1 rows completed, 0 failed.']],
    ],
    [
      'its cancel',
      { begunBatches: [{ id: 'b', total: 3000, done: 0 }] },
      {
        begunBatches: [{ id: 'b', total: 3000, done: 0 }],
        endedBatches: [{ id: 'b', status: 'cancelled', completed: 1200, failed: 1800 }],
      },
      [['batch', 'ok', 'Batch b was cancelled after 1,200 completed rows.']],
    ],
    ['a joined node', {}, { nodes: [...nodes, { id: 'b', state: 'ready' }] }, [['fleet', 'ok', 'Node b joined the fleet.']]],
    [
      'a lost node',
      { nodes: [...nodes, { id: 'b', state: 'ready' }] },
      { lostNodes: ['b'] },
      [['fleet', 'bad', 'Node b is lost: it stopped telling that it lives.']],
    ],
    ['a node that left', { nodes: [...nodes, { id: 'b', state: 'draining' }] }, {}, [['fleet', 'ok', 'Node b left the fleet.']]],
    ['a disk that fills', {}, { disk: { level: 'watch', hasBatchFiles: true } }, [['disk', 'watch', 'The disk is nearly full.']]],
    ['a disk with room', { disk: { level: 'bad', hasBatchFiles: true } }, {}, [['disk', 'ok', 'There is room on the disk again.']]],
  ])('%s', (_name, before, after, expected) => {
    const events = eventsBetween({ ...quiet, ...before }, { ...quiet, ...after });
    expect(events.map(({ kind, level, text }) => [kind, level, text])).toEqual(expected);
    for (const { meaning, level, advice } of events) {
      expect(meaning).toMatch(/^[A-Z].*\.$/);
      if (level === 'bad') expect(advice).not.toBeNull();
    }
  });
});
