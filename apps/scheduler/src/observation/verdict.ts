import { VERDICT_LEVELS, type LaneView, type NodeView, type Verdict, type VerdictDetail, type WorkerView } from '@app/contracts';
import { diskAdvice, diskLevel } from './events/disk-level';
import { endInWords } from './events/end-in-words';
import { sentenceOf } from './view/plain-failure';

/** p99 ÷ goal over the last minute above which it is worth a look; above 1 the goal is missed. */
const NEAR_GOAL = 0.9;
/** Refused ÷ all live requests of the last minute, without those of tenants over their own share: no CPUs help them. */
const REFUSED_WATCH = 0.01;
const REFUSED_BAD = 0.05;
/** Restarts of one process within 15 minutes. */
const RESTARTS_BAD = 5;
const RESTARTS_WINDOW_MS = 15 * 60_000;
/** p99 beside batches ÷ p99 alone. */
const INFLATION_WATCH = 1.1;
/** A node that is not ready for longer than it needs to start. */
const STARTING_SECONDS_MAX = 120;
const LOOP_DELAY_WATCH_MS = 100;
const LISTED_MAX = 3;
const NO_MODELS = 'Put a model into MODELS_DIR, or fetch one: interleave models add hf://org/model.';

type Facts = Omit<NodeView, 'verdict'>;

/** How the node is, in words: pure. The table of levels is in docs/operating.md. */
export function verdictOf(view: Facts): Verdict {
  const troubles = [
    ...readiness(view),
    ...workers(view),
    ...restarts(view),
    ...models(view),
    ...control(view),
    ...inflation(view),
    ...breakers(view),
    ...surroundings(view),
  ];
  const lanes = [...live(view), batches(view)];
  const details = [...troubles, ...lanes].sort((a, b) => VERDICT_LEVELS.indexOf(b.level) - VERDICT_LEVELS.indexOf(a.level));
  const [worst] = details;
  const level = worst?.level ?? 'ok';
  const said = level === 'ok' ? lanes : [worst, ...lanes].filter((detail) => detail !== undefined);
  const text = [...new Set(said.map((detail) => detail.text))].slice(0, 2).join(' ');
  return { level, text, details };
}

/** Nothing while nothing is known of live requests. */
function live(view: Facts): VerdictDetail[] {
  const lane = view.lanes.find((each) => each.lane === 'realtime');
  return lane === undefined || lane.minute === null ? [] : [liveRequests(view, lane.minute, lane.goal)];
}

/** What is known of live requests decides; where nothing is asked there is nothing to be late. */
function liveRequests(
  view: Facts,
  { requests, refused, overShare, p99Ms }: NonNullable<LaneView['minute']>,
  goal: LaneView['goal'],
): VerdictDetail {
  const late = goal === null ? 0 : goal.p99Ms / goal.goalMs;
  const refusedShare = Math.max(0, refused - overShare) / Math.max(1, requests - overShare);
  const goals = view.models.filter(({ goalMs }) => goalMs !== null).length;
  const unjudged = goals === 0 ? 'no goal is set' : 'too few answers to judge the goal';
  const time = goal === null ? `p99 ${ms(p99Ms)}, ${unjudged}` : `p99 ${ms(goal.p99Ms)} of ${ms(goal.goalMs)} goal`;
  const of = goal === null || goals < 2 ? '' : ` (${goal.model})`;
  if (refusedShare >= REFUSED_BAD)
    return {
      level: 'bad',
      text: `Live requests are refused: ${percent(refusedShare)} of the last minute, ${time}${of}.`,
      advice: 'There is more live load than this node serves in time: add CPUs or nodes, or use a faster variant of the model.',
    };
  if (goal !== null && late > 1)
    return {
      level: 'bad',
      text: `Live is late: ${time}${of}.`,
      advice:
        'Look at the queue and at the CPUs: if live has most of them, add CPUs or nodes; if batch or system has, see the controller below.',
    };
  if (refusedShare >= REFUSED_WATCH)
    return {
      level: 'watch',
      text: `Live refuses ${percent(refusedShare)} of its requests, ${time}${of}.`,
      advice: 'See whether the load is a peak or stays.',
    };
  if (late > NEAR_GOAL)
    return { level: 'watch', text: `Live is near its goal: ${time}${of}.`, advice: 'See whether the load still grows.' };
  if (requests === 0) return { level: 'ok', text: 'Live is idle: no requests in the last minute.', advice: null };
  return { level: 'ok', text: `Live is fine: ${time}${of}.`, advice: null };
}

function batches({ batchLane: { chunks, idleShareUsed, rowsPerSecond }, batches: open, processes }: Facts): VerdictDetail {
  const paused = open.filter((batch) => batch.paused !== null);
  const ok = (text: string): VerdictDetail => ({ level: 'ok', text, advice: null });
  if (chunks === null) return noRunner(processes);
  if (open.length === 0 && chunks.running === 0) return ok('Batch lane is idle: no batch is open.');
  if (open.length > 0 && paused.length === open.length) return ok(`Batches are paused: ${paused[0]?.paused ?? ''}.`);
  const whose = open.length === 0 ? ' for batches of other nodes' : '';
  if (idleShareUsed === null) return ok(`Batch lane works${whose} at ${number(rowsPerSecond)} rows/s.`);
  return ok(`Batch lane uses ${percent(idleShareUsed)} of the idle CPU${whose}.`);
}

function noRunner(processes: Facts['processes']): VerdictDetail {
  if (!processes.some(({ id }) => id === 'runner'))
    return { level: 'ok', text: 'Nothing is known of batches: no runner answers here.', advice: null };
  return {
    level: 'watch',
    text: 'The runner does not answer, so batches wait.',
    advice: 'Nothing if it is short; else read what the log says of runner. Live requests do not need it.',
  };
}

function readiness({ node, processes, frontDoor, models }: Facts): VerdictDetail[] {
  const isStarting = node.uptimeSeconds < STARTING_SECONDS_MAX;
  if (frontDoor === null && processes.some(({ id }) => id.startsWith('api')))
    return [
      {
        level: isStarting ? 'watch' : 'bad',
        text: isStarting ? 'The node starts: its API does not answer yet.' : 'The API does not answer.',
        advice: isStarting ? null : 'Read what the log says of api-1 and api-2; the scheduler starts them again by itself.',
      },
    ];
  if (node.notReady === null) return [];
  const noModels = node.folderProblem === null ? NO_MODELS : sentenceOf(node.folderProblem);
  return [
    {
      level: isStarting ? 'watch' : 'bad',
      text: `The node is not ready: ${node.notReady}.`,
      advice: models.length === 0 ? noModels : isStarting ? null : 'Look at the models: what loads for so long, or has failed, says why.',
    },
  ];
}

function workers(view: Facts): VerdictDetail[] {
  return view.workers
    .filter(({ state }) => STATES[state] !== undefined)
    .map(({ id, lane, state, reason }) => ({
      level: lane === 'realtime' && view.node.uptimeSeconds >= STARTING_SECONDS_MAX ? 'bad' : 'watch',
      text: `Worker ${id} ${STATES[state] ?? state}${reason === null || state === 'silent' ? '' : `: ${endInWords(reason)}`}.`,
      advice: `Nothing if it serves within a minute; else read what the log says of ${id}.`,
    }));
}

/** Those that are worth a look. */
const STATES: Partial<Record<WorkerView['state'], string>> = {
  starting: 'starts and does not serve yet',
  backoff: 'does not serve and waits for its next start',
  stopped: 'is stopped',
  silent: 'does not answer',
};

function restarts({ events, atMs, workers: known, processes }: Facts): VerdictDetail[] {
  const recent = events.filter((event) => event.kind === 'restart' && event.atMs > atMs - RESTARTS_WINDOW_MS);
  return [...known, ...processes].flatMap(({ id, reason }) => {
    const count = recent.filter(({ subject }) => subject === id).length;
    if (count === 0) return [];
    const name = known.some((worker) => worker.id === id) ? `Worker ${id}` : `Process ${id}`;
    return {
      level: count >= RESTARTS_BAD ? 'bad' : 'watch',
      text: `${name} was restarted ${count === 1 ? 'once' : `${count} times`} in 15 minutes: ${endInWords(reason)}.`,
      advice: `If you did not end it yourself, read what the log says of ${id} before it ended.`,
    };
  });
}

function models(view: Facts): VerdictDetail[] {
  const inState = (state: string): string[] =>
    view.models.filter((model) => model.state === state).map(({ name, version }) => `${name} version ${version}`);
  const [quarantined, failed] = [inState('quarantined'), inState('failed')];
  return [
    ...told(
      'bad',
      quarantined,
      'out of service because they kill workers',
      'Their view says what they did and until when; find the input or file that does it.',
    ),
    ...told('watch', failed, 'not served because they could not be loaded', 'Their view says what is wrong with their files.'),
  ];
}

function told(level: VerdictDetail['level'], names: readonly string[], what: string, advice: string): VerdictDetail[] {
  if (names.length === 0) return [];
  const more = names.length > LISTED_MAX ? ` and ${names.length - LISTED_MAX} more` : '';
  return [{ level, text: `Models are ${what}: ${names.slice(0, LISTED_MAX).join(', ')}${more}.`, advice }];
}

function control({ batchLane: { limit, reason } }: Facts): VerdictDetail[] {
  const because = reason === null ? '' : `: ${reason}`;
  if (limit === 'unreachable')
    return [
      {
        level: 'bad',
        text: `Live misses its goal even without batches${because}.`,
        advice: 'Add CPUs or nodes, use a faster variant, or set a goal that can be met.',
      },
    ];
  if (limit === 'paused') return [{ level: 'watch', text: `Batches wait for live requests${because}.`, advice: 'Nothing if it is short.' }];
  return [];
}

function inflation({ inflation: all }: Facts): VerdictDetail[] {
  const worst = [...all].sort((a, b) => (b.inflation ?? 0) - (a.inflation ?? 0))[0];
  if (worst?.inflation === undefined || worst.inflation === null || worst.inflation <= INFLATION_WATCH) return [];
  return [
    {
      level: 'watch',
      text: `Batches make live requests of ${worst.model} ${percent(worst.inflation - 1)} slower.`,
      advice: 'Set a goal for the model, or a lower one (realtime.sloMs), which limits batches, or reserve CPUs for live requests.',
    },
  ];
}

function breakers({ breakers: all }: Facts): VerdictDetail[] {
  return (all ?? [])
    .filter(({ state }) => state === 'open')
    .map(({ name, reason }) => ({
      level: 'watch',
      text: `Calls of ${name} are refused for a while: ${reason ?? 'too many failed'}.`,
      advice: `Look at why ${name} fails.`,
    }));
}

/** What the node needs and does not have in its hands. */
function surroundings({ node, fleet }: Facts): VerdictDetail[] {
  const details: VerdictDetail[] = [];
  if (node.redisIsReady === false)
    details.push({
      level: 'watch',
      text: 'Redis does not answer, so batches wait.',
      advice: 'See whether Redis runs; live requests do not need it.',
    });
  if (node.preemption.verdict === 'fails')
    details.push({ level: 'watch', text: 'Batches do not give way to live requests on this machine.', advice: node.preemption.reason });
  const disk = node.disk === null ? 'ok' : diskLevel(node.disk);
  if (node.disk !== null && disk !== 'ok')
    details.push({
      level: disk,
      text: `The disk is ${disk === 'bad' ? 'full' : 'nearly full'}.`,
      advice: diskAdvice(node.disk.hasBatchFiles),
    });
  if ((node.eventLoopDelayMs ?? 0) > LOOP_DELAY_WATCH_MS)
    details.push({
      level: 'watch',
      text: `The API is ${ms(node.eventLoopDelayMs)} late with what it does.`,
      advice: 'Its CPU is overloaded, or requests are very large.',
    });
  if (fleet !== null && fleet.lost.length > 0)
    details.push({
      level: 'watch',
      text: `Nodes are lost: ${fleet.lost
        .slice(0, LISTED_MAX)
        .map(({ id }) => id)
        .join(', ')}.`,
      advice: 'See whether their machines run and reach Redis.',
    });
  return details;
}

const number = (value: number | null): string => (value === null ? 'unknown' : Number(value.toPrecision(3)).toLocaleString('en-US'));
const ms = (value: number | null): string => (value === null ? 'unknown' : `${number(value)} ms`);
const percent = (share: number): string => `${share > 0 && share < 0.01 ? '<1' : Math.round(share * 100)} %`;
