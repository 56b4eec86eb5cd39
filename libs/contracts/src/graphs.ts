import type { Lane } from './stages';

/** What a step does: runs a model, makes token ids of texts, or makes the answer of a model's task of its outputs. */
export type StepKind = 'model' | 'tokenizer' | 'head';

/** One step of a graph. Both maps go from the name that the step's model has for a tensor to the graph's name of it. */
export interface GraphStepPlan {
  kind: StepKind;
  model: string;
  version: string;
  /** The files of the model that the step runs on; other files give the graph another revision. `ELSEWHERE`: other nodes run it. */
  revision: number;
  inputMap: Record<string, string>;
  outputMap: Record<string, string>;
}

/** A model whose runs are runs of other models, as the processes that answer run it; part of the placement. */
export interface GraphPlan {
  name: string;
  version: string;
  /** Of its own files and of those of its steps, numbered as those of models. */
  revision: number;
  /** Of its own files, as `RepositoryEntry.fingerprint`. */
  fingerprint: string;
  /** Lanes in which all of its steps are placed. */
  lanes: Lane[];
  /** In an order in which they can run. */
  steps: GraphStepPlan[];
  /** Tensors that are its outputs, in their order. */
  outputs: string[];
}

/** As messages and metrics name a step of a graph: its place, counted from 1, and its model. */
export function stepName({ model }: Pick<GraphStepPlan, 'model'>, index: number): string {
  return `${index + 1} ${model}`;
}
