import type { Graph } from './graph';

/** By step: the time of the longest way through the graph that leads through it, where each step takes `stepMs`. */
export function pathsThrough({ steps }: Pick<Graph, 'steps'>, stepMs: readonly number[]): number[] {
  const until: number[] = [];
  for (const [i, { needs }] of steps.entries()) until.push((stepMs[i] ?? 0) + Math.max(0, ...needs.map((need) => until[need] ?? 0)));
  const after = steps.map(() => 0);
  for (let i = steps.length - 1; i >= 0; i -= 1)
    for (const need of steps[i]?.needs ?? []) after[need] = Math.max(after[need] ?? 0, (stepMs[i] ?? 0) + (after[i] ?? 0));
  return until.map((ms, i) => ms + (after[i] ?? 0));
}
