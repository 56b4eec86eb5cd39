import { NODE_EVENTS_SHOWN_MAX, type NodeEvent, type NodeView } from '@app/contracts';
import type { CpuPlace } from '@app/system';
import type { CpuSharesWindow } from '../cpu/cpu-shares';
import { changesOf } from '../events/changes';
import { rounded } from '../rounded';
import type { Sample } from '../sample/sample';
import { verdictOf } from '../verdict';
import { BATCHES_MAX, batchLaneView, batchViews } from './batch-lane';
import { frontDoorView } from './front-door';
import { CPUS_MAX, cpuViews, gpuViews, isolationViews, processViews, workerViews } from './hardware';
import { laneViews, type LaneWindows } from './lanes';
import { costTables, modelViews, MODELS_MAX } from './models';

/** What does not change while the scheduler runs. */
export interface NodeIdentity {
  id: string;
  version: string;
  modelsDir: string;
  places: readonly CpuPlace[];
  /** On the clock of `performance.now()`. */
  startedMs: number;
}

/** What one sample shows, with what happened in the minute before it. */
export function nodeView(
  sample: Sample,
  identity: NodeIdentity,
  windows: LaneWindows,
  shares: CpuSharesWindow,
  events: readonly NodeEvent[],
): NodeView {
  const { scheduler, api, runner, metrics } = sample;
  const cpus = cpuViews(sample, identity.places, shares);
  const loopDelay = metrics.max('interleave_event_loop_delay_seconds', { process: 'api', quantile: '0.99' });
  const view: Omit<NodeView, 'verdict'> = {
    atMs: sample.atMs,
    version: identity.version,
    node: {
      id: identity.id,
      uptimeSeconds: Math.floor((sample.steadyMs - identity.startedMs) / 1000),
      notReady: api === null ? 'the API does not answer' : api.missing,
      folderProblem: scheduler.folderProblem ?? null,
      redisIsReady: runner?.redisIsReady ?? null,
      preemption: { verdict: scheduler.preemption.verdict, reason: scheduler.preemption.reason },
      disk: sample.disk,
      eventLoopDelayMs: loopDelay === null ? null : rounded(loopDelay * 1000),
    },
    lanes: laneViews(sample, windows),
    inflation: scheduler.laneControl?.inflation ?? [],
    changes: changesOf(events, sample.atMs),
    cpus,
    gpus: gpuViews(sample, windows.minute),
    isolation: isolationViews(sample),
    workers: workerViews(sample),
    processes: processViews(sample),
    models: modelViews(sample, windows.minute, identity.modelsDir),
    costTables: costTables(sample),
    batches: batchViews(sample),
    batchLane: batchLaneView(sample, cpus, windows.seconds),
    frontDoor: api === null ? null : frontDoorView(metrics, windows.seconds),
    breakers: api?.breakers ?? null,
    fleet: sample.fleet,
    events: events.slice(-NODE_EVENTS_SHOWN_MAX),
    cut: {
      models: Math.max(0, scheduler.versions.length - MODELS_MAX),
      cpus: Math.max(0, identity.places.length - CPUS_MAX),
      batches: Math.max(0, (runner?.batches.length ?? 0) - BATCHES_MAX),
    },
  };
  return { ...view, verdict: verdictOf(view) };
}
