import { pipelineName, stageName } from '../split/model-folders';
import type { Layout } from './cost-model';

/** The models that run in a layout: the whole one, or its stages. */
export const modelsOf = (model: string, { stages }: Layout): string[] =>
  stages === 1 ? [model] : Array.from({ length: stages }, (_, i) => stageName(model, i));

/** What callers name. */
export const calledModel = (model: string, { stages }: Layout): string => (stages === 1 ? model : pipelineName(model));

/** The last CPUs: a set for each stage. Stages for which there is no room share the CPUs of their neighbours. */
export function cpuSetsOf(model: string, layout: Layout, cpus: readonly number[]): { cpus: number[]; models: string[] }[] {
  const { stages, replicas, width } = layout;
  const cpusOfSet = replicas * width;
  const sets = Math.max(1, Math.min(stages, Math.floor(cpus.length / cpusOfSet)));
  const own = cpus.slice(-sets * cpusOfSet);
  return Array.from({ length: sets }, (_, i) => ({
    cpus: own.slice(i * cpusOfSet, (i + 1) * cpusOfSet),
    models: modelsOf(model, layout).filter((_name, stage) => Math.floor((stage * sets) / stages) === i),
  }));
}
