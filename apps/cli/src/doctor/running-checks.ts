import { runPaths, type Config } from '@app/config';
import { byteText, type IsolationTool, type SupervisedProcessStatus, type WorkerProcessStatus } from '@app/contracts';
import { fetchStatus } from '@app/process';
import { broken, degraded, ok, type Finding } from './report';

const ANSWER_MS_MAX = 2000;
/** Share of its limit from which a worker may soon end. */
const NEAR_LIMIT = 0.9;

/** What a running node says about itself; null: none runs here. */
export interface RunningNode {
  processes: SupervisedProcessStatus[];
  /** Status of the workers that answered. */
  workers: Pick<WorkerProcessStatus, 'id' | 'lane' | 'isolation' | 'executors' | 'memory'>[];
  /** Tools of the runner, where it answered. */
  runner: IsolationTool[];
}

/** No line without a node: a node that is not started is no fault. */
export function judgeRunning(node: RunningNode | null): Finding[] {
  if (node === null) return [];
  return [judgeProcesses(node), judgeMemory(node), judgeIsolation(node)];
}

function judgeProcesses({ processes }: RunningNode): Finding {
  const restarts = processes.reduce((sum, process) => sum + process.restarts, 0);
  const others = processes.filter(({ state }) => state !== 'ready');
  const detail = `${processes.length} run, ${restarts} restarts`;
  if (others.length === 0) return ok('processes', detail);
  const words = others.map(({ id, state, reason }) => `${id} is ${state}${reason === null ? '' : ` (${reason})`}`).join(', ');
  const remedy = 'look into the log of the node; a process that just started becomes ready by itself';
  return others.length === processes.length ? broken('processes', words, remedy) : degraded('processes', `${detail}; ${words}`, remedy);
}

/** What each worker takes, next to the files of its models and its limit. */
function judgeMemory({ workers }: RunningNode): Finding {
  const detail = workers.map(({ id, memory: { resident, modelFiles, limit } }) => {
    const words = `${id} has ${byteText(resident)} for ${byteText(modelFiles)} of model files`;
    return limit === null ? words : `${words}, limit ${byteText(limit)}`;
  });
  const near = workers.filter(({ memory: { resident, limit } }) => limit !== null && resident > limit * NEAR_LIMIT);
  if (near.length === 0) return ok('memory', detail.join('; ') || 'no workers');
  return degraded(
    'memory',
    detail.join('; '),
    `near the limit, above which a worker ends: ${near.map(({ id }) => id).join(', ')}; raise memory of the partition, lower runTokensMax of the lane, or give it fewer models`,
  );
}

/** Each tool that some worker or executor lacks, once for each lane, with the reason; where none does, those that are not wanted. */
function judgeIsolation({ workers, runner }: RunningNode): Finding {
  const lacking = new Set<string>();
  const off = new Set<string>();
  const judge = (owner: string, tools: IsolationTool[]): void => {
    for (const { tool, state, reason } of tools)
      if (state !== 'active') (state === 'off' ? off : lacking).add(`${owner} ${tool}${reason === null ? '' : `: ${reason}`}`);
  };
  for (const { lane, isolation, executors } of workers) judge(lane, [...isolation, ...executors.flatMap((executor) => executor.isolation)]);
  judge('runner', runner);
  const executors = workers.reduce((sum, worker) => sum + worker.executors.length, 0);
  const notWanted = off.size === 0 ? '' : `; off: ${[...off].join('; ')}`;
  if (lacking.size === 0)
    return ok('isolation', `no tool is unavailable on ${executors} executors of ${workers.length} workers${notWanted}`);
  return degraded(
    'isolation',
    [...lacking].join('; '),
    'permit these calls in the sandbox or container (seccomp profile, CAP_SYS_NICE); ' +
      'idle-latency wants /dev/cpu_dma_latency with root or these calls, or realtime.awakeMs: 0',
  );
}

export async function checkRunning({ runDir }: Pick<Config, 'runDir'>): Promise<Finding[]> {
  const { statusSocket } = runPaths(runDir);
  const scheduler = await fetchStatus('scheduler', statusSocket('scheduler'), ANSWER_MS_MAX).catch(() => null);
  if (scheduler === null) return judgeRunning(null);
  const answers = await Promise.all(
    scheduler.placement.workers.map(({ id }) => fetchStatus('worker', statusSocket(id), ANSWER_MS_MAX).catch(() => null)),
  );
  const runner = await fetchStatus('runner', statusSocket('runner'), ANSWER_MS_MAX).catch(() => null);
  const workers = answers.filter((answer) => answer !== null);
  return judgeRunning({ processes: scheduler.processes, workers, runner: runner?.isolation ?? [] });
}
