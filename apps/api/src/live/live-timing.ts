import type { ItemResult, Stage, StepTiming } from '@app/contracts';
import type { CacheUse } from '../response-cache/cached-runs';

/** Where the time of one live request went, in milliseconds, by stage; and the largest run it was in. */
export interface LiveTiming {
  stages: [Stage, number][];
  runRows: number;
  /** Of a graph: where the time of its slowest item went; empty: it is no graph. */
  steps: readonly StepTiming[];
  /** Items that were answered. */
  items: number;
  /** As `ItemTiming.startedNs`, of the run that is reported; 0: none is. */
  runStartedNs: number;
  /** Items that were kept answers; null: the model has no cache. */
  cache: CacheUse | null;
}

/** The moments of a request on this process's clock (`performance.now()`), in order. */
export interface LiveMoments {
  arrivedMs: number;
  bodyReadMs: number;
  admittedMs: number;
  preparedMs: number;
  answeredMs: number;
  respondedMs: number;
}

/**
 * The slowest item decides what is reported for coalesce and run; what is left of the wait is the channel: enqueue. Where nothing ran (no
 * item, or kept answers alone) there are none of these three.
 */
export function liveTiming(moments: LiveMoments, results: ItemResult[], cache: CacheUse | null): LiveTiming {
  let queueUs = 0;
  let runUs = 0;
  let runRows = 0;
  let runStartedNs = 0;
  let steps: LiveTiming['steps'] = [];
  for (const { timing } of results) {
    if (timing.queueUs + timing.runUs > queueUs + runUs) ({ queueUs, runUs, startedNs: runStartedNs, steps = [] } = timing);
    runRows = Math.max(runRows, timing.runRows);
  }
  const waitMs = moments.answeredMs - moments.preparedMs;
  const ran = runRows > 0 || runUs > 0;
  const runStages: LiveTiming['stages'] = [
    ['enqueue', Math.max(0, waitMs - (queueUs + runUs) / 1000)],
    ['coalesce', queueUs / 1000],
    ['run', runUs / 1000],
  ];
  return {
    runRows,
    steps,
    items: results.length,
    runStartedNs,
    cache,
    stages: [
      ['accept', moments.bodyReadMs - moments.arrivedMs],
      ['admit', moments.admittedMs - moments.bodyReadMs],
      ['tokenize', moments.preparedMs - moments.admittedMs],
      ...(ran ? runStages : []),
      ['respond', moments.respondedMs - (ran ? moments.answeredMs : moments.preparedMs)],
    ],
  };
}

/**
 * The stages that a request came to which ended with an error now; a moment that is null was not reached. The stage in which it ended gets
 * the rest; what waited in a worker's queue counts as enqueue, because nothing came back.
 */
export function failedTiming(
  {
    arrivedMs,
    bodyReadMs,
    admittedMs,
    preparedMs,
  }: { [Name in 'bodyReadMs' | 'admittedMs' | 'preparedMs']: number | null } & {
    arrivedMs: number;
  },
  nowMs: number,
): LiveTiming {
  const ends: [Stage, number | null][] = [
    ['accept', bodyReadMs],
    ['admit', admittedMs],
    ['tokenize', preparedMs],
    ['enqueue', null],
  ];
  const stages: LiveTiming['stages'] = [];
  let begunMs = arrivedMs;
  for (const [stage, endMs] of ends) {
    stages.push([stage, (endMs ?? nowMs) - begunMs]);
    if (endMs === null) break;
    begunMs = endMs;
  }
  return { stages, runRows: 0, steps: [], items: 0, runStartedNs: 0, cache: null };
}

/** Value of the `Server-Timing` header: milliseconds by stage, the rows of the run, those by step, and whether answers were kept ones. */
export function serverTiming({ stages, runRows, steps, cache }: LiveTiming): string {
  let text = '';
  for (const [stage, ms] of stages) {
    const rows = stage === 'run' ? `;desc="${runRows} rows"` : '';
    text += `, ${stage};dur=${Math.round(ms * 1000) / 1000}${rows}`;
  }
  for (const { step, us } of steps) text += `, step;desc="${step}";dur=${Math.round(us) / 1000}`;
  if (cache !== null) text += `, cache;desc=${cacheText(cache)}`;
  return text.slice(', '.length);
}

function cacheText({ hits, misses }: CacheUse): string {
  if (hits === 0) return 'miss';
  return misses === 0 ? 'hit' : `"${hits} of ${hits + misses} hit"`;
}
