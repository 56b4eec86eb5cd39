import { batchEvents } from './batch-events';
import { diskAdvice } from './disk-level';
import { endInWords } from './end-in-words';
import { modelEvents } from './model-events';
import type { NewEvent } from './new-event';
import type { NodeFactsNow } from './node-facts';

/** What happened between two moments, in plain words. Without a moment before there is nothing to compare. */
export function eventsBetween(before: NodeFactsNow | null, after: NodeFactsNow): NewEvent[] {
  if (before === null) return [];
  return [
    ...restarts(before, after),
    ...readiness(before, after),
    ...redis(before, after),
    ...control(before, after),
    ...modelEvents(before, after),
    ...batchEvents(before, after),
    ...fleet(before, after),
    ...disk(before, after),
  ];
}

/** What the end of each kind of process means while it is started again. */
function meaningOf(id: string, lane: NodeFactsNow['processes'][number]['lane']): string {
  if (lane === 'realtime')
    return 'Live requests that it had were handed to another worker, or waited until it had loaded its models again.';
  if (lane === 'batch') return 'Batches waited for it, and the rows that it was at run again. Live requests did not notice.';
  if (id === 'runner') return 'Batches waited for it and went on from the chunks that were committed. Live requests did not notice.';
  if (id === 'redis') return 'Batches waited for it. Live requests do not need it.';
  if (id.startsWith('api')) return 'The other API process answers; requests that this one was answering were cut off.';
  return 'Connections that went through it were cut off.';
}

function restarts(before: NodeFactsNow, after: NodeFactsNow): NewEvent[] {
  return after.processes.flatMap(({ id, restarts: count, reason, lane }) => {
    const times = count - (before.processes.find((other) => other.id === id)?.restarts ?? 0);
    const event: NewEvent = {
      kind: 'restart',
      level: lane === 'realtime' || id.startsWith('api') ? 'bad' : 'watch',
      text: `${id} was restarted: ${endInWords(reason)}.`,
      meaning: meaningOf(id, lane),
      advice: `If you did not end it yourself, read what the log says of ${id}.`,
      subject: id,
    };
    return Array.from({ length: Math.max(0, times) }, () => event);
  });
}

function readiness({ readiness: before }: NodeFactsNow, { readiness: after }: NodeFactsNow): NewEvent[] {
  if (before === null || after === null || (before.notReady === null) === (after.notReady === null)) return [];
  const { notReady } = after;
  if (notReady === null)
    return [{ kind: 'node', level: 'ok', text: 'The node is ready.', meaning: 'Live requests are answered.', advice: null, subject: null }];
  return [
    {
      kind: 'node',
      level: 'watch',
      text: `The node is not ready: ${notReady}.`,
      meaning: 'Balancers send live requests elsewhere until it is.',
      advice: 'Nothing while it starts or ends; else look at the state of its models.',
      subject: null,
    },
  ];
}

function redis({ redisIsReady: before }: NodeFactsNow, { redisIsReady }: NodeFactsNow): NewEvent[] {
  if (before === null || redisIsReady === null || before === redisIsReady) return [];
  if (redisIsReady)
    return [
      { kind: 'redis', level: 'ok', text: 'Redis is back.', meaning: 'Batches go on where they were.', advice: null, subject: 'redis' },
    ];
  return [
    {
      kind: 'redis',
      level: 'watch',
      text: 'Redis does not answer.',
      meaning: 'Batches wait. Live requests do not need it.',
      advice: 'See whether Redis runs and has memory and disk left; nothing is lost meanwhile.',
      subject: 'redis',
    },
  ];
}

const CONTROL = {
  open: { level: 'ok', meaning: 'Batches use all CPU time that live requests leave.', advice: null },
  limited: { level: 'ok', meaning: 'Batches run slower for the sake of live requests.', advice: null },
  paused: {
    level: 'watch',
    meaning: 'Batches keep only their least share, until live requests meet their goal again.',
    advice: 'Nothing if it is short; if it repeats, there is more live load than these CPUs serve within the goal.',
  },
  unreachable: {
    level: 'bad',
    meaning: 'Live requests miss their goal even without batches.',
    advice: 'Add CPUs or nodes, use a faster variant of the model, or set a goal that can be met.',
  },
} as const;

/** Only when the state changes; single steps within it are in the log. */
function control(before: NodeFactsNow, after: NodeFactsNow): NewEvent[] {
  return after.control.flatMap(({ worker, state, reason }) => {
    const former = before.control.find((other) => other.worker === worker)?.state;
    if (former === undefined || former === state) return [];
    return {
      kind: 'control',
      text: `${worker} is ${state}, after ${former}${reason === null ? '' : `: ${reason}`}.`,
      subject: worker,
      ...CONTROL[state],
    };
  });
}

function fleet({ nodes: before, lostNodes: lostBefore }: NodeFactsNow, { nodes: after, lostNodes }: NodeFactsNow): NewEvent[] {
  if (before === null || after === null || lostBefore === null || lostNodes === null) return [];
  const joined = after.filter(({ id }) => !before.some((other) => other.id === id));
  const left = before.filter(({ id }) => !after.some((other) => other.id === id) && !lostNodes.includes(id));
  const lost = lostNodes.filter((id) => !lostBefore.includes(id));
  return [
    ...joined.map(({ id }): NewEvent => {
      const meaning = 'It takes chunks of batches, and live requests once a balancer knows it.';
      return { kind: 'fleet', level: 'ok', text: `Node ${id} joined the fleet.`, meaning, advice: null, subject: id };
    }),
    ...left.map(({ id }): NewEvent => {
      return {
        kind: 'fleet',
        level: 'ok',
        text: `Node ${id} left the fleet.`,
        meaning: 'It drained and ended.',
        advice: null,
        subject: id,
      };
    }),
    ...lost.map((id): NewEvent => {
      const meaning = 'Its batches go on at other nodes; live requests that it had were cut off.';
      const advice = `See whether the machine of ${id} runs and reaches Redis.`;
      return { kind: 'fleet', level: 'bad', text: `Node ${id} is lost: it stopped telling that it lives.`, meaning, advice, subject: id };
    }),
  ];
}

function disk({ disk: before }: NodeFactsNow, { disk: after }: NodeFactsNow): NewEvent[] {
  if (before === null || after === null || before.level === after.level) return [];
  const { level, hasBatchFiles } = after;
  if (level === 'ok')
    return [
      {
        kind: 'disk',
        level: 'ok',
        text: 'There is room on the disk again.',
        meaning: 'Files are taken again.',
        advice: null,
        subject: null,
      },
    ];
  const text = level === 'bad' ? 'The disk is full.' : 'The disk is nearly full.';
  return [
    {
      kind: 'disk',
      level,
      text,
      meaning: 'Uploads and batches stop when it is full. Live requests do not need it.',
      advice: diskAdvice(hasBatchFiles),
      subject: null,
    },
  ];
}
