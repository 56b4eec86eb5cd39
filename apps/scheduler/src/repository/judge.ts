import type { Lane, ModelReport, RevisionBinding, WorkerProcessStatus } from '@app/contracts';
import type { Answer, Observation } from './observer';
import type { NextRevision, Revision } from './revision';

/** A new revision takes over although its costs are not measured, after so long. */
export const COSTS_WAIT_MS = 15_000;

/** `ready` with a reason: a worker refuses it, and others serve it. */
export type Verdict = { kind: 'waiting' } | { kind: 'ready'; reason: string | null } | { kind: 'failed'; reason: string };

const WAITING: Verdict = { kind: 'waiting' };

/** How much a new revision has to show. */
export interface Standard {
  /** Another revision answers well: one failure anywhere, and the new one is refused. Else one worker that has it is enough. */
  isStrict: boolean;
  /** The lane of a worker. */
  laneOf: (workerId: string) => Lane;
}

/** What one process says of the revision. */
type Said = 'unasked' | 'unsaid' | 'has it' | { problem: string };

/**
 * Whether every process that runs has the revision. Processes that are down are not waited for, unless one has died of this
 * revision: it has to come back first.
 */
export function judge(next: NextRevision, observation: Observation, { isStrict, laneOf }: Standard): Verdict {
  const { revision } = next;
  const workers = [...revision.plans.keys()].map((id) => workerSays(id, revision, observation.workers.get(id) ?? 'down', next.deaths > 0));
  const binders = bindersSay(revision, observation, laneOf);
  const all = [...workers, ...binders];
  const problems = all.flatMap((said) => (typeof said === 'object' ? [said.problem] : []));
  const isGraph = revision.graph !== null;
  const hasWorker = isGraph || workers.some((said) => said === 'has it' || said === 'unsaid');
  const cannotAnswer = binders.some((said) => typeof said === 'object') || !hasWorker;
  const reason = problems.length === 0 ? null : problems.join('; ');
  if (reason !== null && (isStrict || cannotAnswer)) return { kind: 'failed', reason };
  // A graph is on its way only while all of its steps serve.
  if (all.includes('unsaid') || !(isGraph || workers.includes('has it'))) return WAITING;
  return { kind: 'ready', reason };
}

/** Whether the costs of a revision are known, or will not be, in every worker that answers. */
export function hasCosts(revision: Revision, { workers }: Observation): boolean {
  return [...revision.plans].every(([id, plan]) => {
    const status = workers.get(id);
    if (typeof status !== 'object') return true;
    const isOf = (other: { name: string; version: string; revision?: number }): boolean =>
      other.revision === undefined ? other.name === plan.name && other.version === plan.version : other.revision === revision.number;
    const calibration = status.calibration.find(isOf);
    return calibration === undefined || calibration.state === 'measured' || calibration.state === 'skipped';
  });
}

/** Whether a worker that answers has the revision ready; a graph is as ready as the models of its steps, which have their own word. */
export function isReadyAnywhere(revision: Revision, { workers }: Observation): boolean {
  return revision.graph !== null || [...revision.plans.keys()].some((id) => reportOf(revision, workers.get(id))?.state === 'ready');
}

/** Whether a worker that answers still lists the revision. */
export function isReportedAnywhere(revision: Revision, { workers }: Observation): boolean {
  return [...revision.plans.keys()].some((id) => reportOf(revision, workers.get(id)) !== undefined);
}

function workerSays(id: string, revision: Revision, answer: Answer<WorkerProcessStatus>, isAwaited: boolean): Said {
  if (answer === 'down') return isAwaited ? 'unsaid' : 'unasked';
  const report = reportOf(revision, answer);
  if (report === undefined || report.state === 'loading') return 'unsaid';
  return report.state === 'ready' ? 'has it' : { problem: `${id}: ${report.reason ?? 'it failed without a reason'}` };
}

/** API processes answer for the real-time lane, the runner for the batch lane. */
function bindersSay(revision: Revision, { apis, runner }: Observation, laneOf: (workerId: string) => Lane): Said[] {
  const lanes = new Set(revision.graph?.lanes ?? [...revision.plans.keys()].map(laneOf));
  return [
    ...(lanes.has('realtime') ? [...apis].map(([id, answer]) => binderSays(id, revision, answer)) : []),
    ...(lanes.has('batch') ? [binderSays('runner', revision, runner)] : []),
  ];
}

function binderSays(id: string, revision: Revision, answer: Answer<{ models?: RevisionBinding[] }>): Said {
  if (answer === 'down') return 'unasked';
  if (answer === 'silent') return 'unsaid';
  if (answer.models === undefined) return 'has it';
  const binding = answer.models.find((other) => other.revision === revision.number);
  if (binding === undefined) return 'unsaid';
  return binding.problem === null ? 'has it' : { problem: `${id}: ${binding.problem}` };
}

function reportOf({ number }: Revision, answer: Answer<WorkerProcessStatus> | undefined): ModelReport | undefined {
  return typeof answer === 'object' ? answer.models.find(({ revision }) => revision === number) : undefined;
}
