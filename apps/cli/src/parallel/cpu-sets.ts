import { pipelineName, stageName } from '../split/model-folders';
import { setOfStage, setsOf, type Layout } from './cost-model';

/** The models that run in a layout: the whole one, or its stages. */
export const modelsOf = (model: string, { stages }: Layout): string[] =>
  stages === 1 ? [model] : Array.from({ length: stages }, (_, i) => stageName(model, i));

/** What callers name. */
export const calledModel = (model: string, { stages }: Layout): string => (stages === 1 ? model : pipelineName(model));

/** The last CPUs: a set for each stage. Stages for which there is no room share the CPUs of their neighbours. */
export function cpuSetsOf(model: string, layout: Layout, cpus: readonly number[]): { cpus: number[]; models: string[] }[] {
  const cpusOfSet = layout.replicas * layout.width;
  const sets = setsOf(layout, cpus.length);
  const own = cpus.slice(-sets * cpusOfSet);
  return Array.from({ length: sets }, (_, i) => ({
    cpus: own.slice(i * cpusOfSet, (i + 1) * cpusOfSet),
    models: modelsOf(model, layout).filter((_name, stage) => setOfStage(stage, layout.stages, sets) === i),
  }));
}

/** What to write into `interleave.yaml` for a layout on so many CPUs. */
export function partitionsText(model: string, layout: Layout, cpus: number): string {
  const sets = cpuSetsOf(
    model,
    layout,
    Array.from({ length: cpus }, (_, cpu) => cpu),
  );
  const cpusText = `${layout.replicas * layout.width} ${layout.replicas * layout.width === 1 ? 'CPU' : 'CPUs'}`;
  return `a partition of ${cpusText} in interleave.yaml for ${sets.map(({ models }) => models.join(' and ')).join(', another for ')}`;
}
