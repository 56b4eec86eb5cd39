import { byteText, runsAtOnce, type GpuPlan, type WorkerModelPlan, type WorkerPlan } from '@app/contracts';
import { formatCpuList } from '@app/system';
import { drawCpus, LETTERS } from './drawing';
import type { NodePlan } from './plan-node';

/** The plan for people: the CPUs, then partitions with their workers and models, then warnings. */
export function planReport(plan: NodePlan, colours: boolean): string {
  const { topology, systemCpus } = plan;
  const { online, effective, memoryBytes } = topology;
  const machine =
    `${effective.length} usable CPUs (${formatCpuList(effective)}) of ${online.length} online, ` + `${byteText(memoryBytes)} of memory`;
  return [
    machine,
    '',
    drawCpus(plan, colours),
    '',
    ...partitionLines(plan),
    `   system: ${systemCpus.length === 0 ? 'no CPU of its own' : `CPU ${formatCpuList(systemCpus)}`}`,
    ...(plan.warnings.length === 0 ? [] : ['', ...plan.warnings.map((warning) => `warning: ${warning}`)]),
  ].join('\n');
}

function partitionLines({ placement }: NodePlan): string[] {
  return placement.partitions.flatMap(({ id, class: partitionClass, cpus, memoryBytes }, index) => [
    `${LETTERS[index]}  ${id}: ${partitionClass}, CPU ${formatCpuList(cpus)}` +
      `${memoryBytes === null ? '' : `, memory ${byteText(memoryBytes)}`}`,
    ...placement.workers.filter(({ partitionId }) => partitionId === id).map(workerLine),
  ]);
}

function workerLine({ lane, cpus, models, gpu }: WorkerPlan): string {
  const executors =
    `${cpus.length} ${cpus.length === 1 ? 'executor' : 'executors'} on ` +
    `${formatCpuList(cpus.toSorted((a, b) => a - b))}${gpu === null ? '' : `, ${gpuWords(gpu)}`}`;
  return `   ${lane}: ${executors}: ${models.map((model) => modelWords(model, cpus.length)).join(', ') || 'no model'}`;
}

function modelWords({ name, version, executorThreads }: WorkerModelPlan, executors: number): string {
  if (executorThreads === 1) return `${name} ${version}`;
  return `${name} ${version} (${executorThreads} threads a run, ${runsAtOnce(executors, executorThreads)} at once)`;
}

function gpuWords({ sharing, name, uuid, memoryBytes, threadPercent }: GpuPlan): string {
  const share = sharing === 'mps' ? `, MPS share ${threadPercent ?? 100} %` : '';
  return `${name} (${uuid}${share}${memoryBytes === null ? '' : `, memory ${byteText(memoryBytes)}`})`;
}
