import type { DeclaredValue, OnnxDim, OnnxFile, OnnxGraph, OnnxNode, OnnxPart } from '@app/onnx-file';
import { CliError } from '../cli-error';
import type { CarriedValue, Cut } from './candidates';
import type { Profile } from './profile';

/** One stage of a model: its part of the graph, and what goes in and out. */
export interface Stage {
  part: OnnxPart;
  /** Values of earlier stages that it takes; `part` may declare their axes without names. */
  takes: CarriedValue[];
  /** Values for later stages. */
  gives: CarriedValue[];
  /** The whole model's own, by name. */
  inputs: string[];
  outputs: string[];
}

/**
 * Divides the nodes of the file by cuts of the optimised graph. Each stage has all that its outputs need of the inputs and of what
 * earlier stages give: weights that several stages use, and cheap nodes that several need, are in each of them. Names of the axes of
 * values between stages are told to the runtime with `namesAxes` only: it fuses more where it knows that two shapes are equal. Their sizes
 * are not told: see `withSizes`.
 */
export function divide({ graph }: OnnxFile, profile: Profile, cuts: readonly Cut[], namesAxes: boolean): Stage[] {
  const stageAt = (position: number): number => cuts.filter(({ after }) => after < position).length;
  const madeIn = new Map(profile.nodes.flatMap(({ node }, position) => node.outputs.map((name) => [name, stageAt(position)] as const)));
  const carried = new Map(cuts.flatMap(({ values }) => values.map((value) => [value.name, value] as const)));
  const declare = ({ name, elementType, dims }: CarriedValue): DeclaredValue => ({
    name,
    elementType,
    dims: dims.map((dim) => (namesAxes && typeof dim === 'string' ? dim : null)),
  });
  const lookup = new Lookup(graph);
  // An output that is no node's result is an input or a weight, and the last stage hands it out.
  const outputStage = (name: string): number => madeIn.get(name) ?? cuts.length;

  // From the last to the first: a stage gives only what a later one takes.
  const needed = new Set<string>();
  const stageOf = (stage: number): Stage => {
    const gives = [...carried.values()].filter(({ name }) => madeIn.get(name) === stage && needed.has(name));
    const outputs = graph.outputs.filter(({ name }) => outputStage(name) === stage);
    const isTaken = (name: string): boolean => carried.has(name) && (madeIn.get(name) ?? 0) < stage;
    const found = lookup.closure(
      [...gives, ...outputs].map(({ name }) => name),
      isTaken,
    );
    for (const name of found.taken) needed.add(name);
    const takes = [...carried.values()].filter(({ name }) => found.taken.has(name));
    const inputs = graph.inputs.filter(({ name }) => found.inputs.has(name));
    // Old graphs declare their weights as inputs too.
    const declared = graph.inputs.filter(({ name }) => found.inputs.has(name) || found.weights.has(name));
    if (takes.length + inputs.length === 0 || gives.length + outputs.length === 0)
      throw new CliError(`stage ${stage + 1} would take or give nothing; try fewer stages`);
    const ownOutputs = new Set(outputs.map(({ name }) => name));
    return {
      part: {
        nodes: graph.nodes.filter((node) => found.nodes.has(node)),
        weights: graph.weights.filter(({ name }) => found.weights.has(name)),
        inputs: [...declared, ...takes.map(declare)],
        outputs: [...outputs, ...gives.filter(({ name }) => !ownOutputs.has(name)).map(declare)],
      },
      takes,
      gives,
      inputs: inputs.map(({ name }) => name),
      outputs: outputs.map(({ name }) => name),
    };
  };
  const last = cuts.length;
  return Array.from({ length: last + 1 }, (_, i) => stageOf(last - i)).reverse();
}

/**
 * The stage with the sizes of what it takes that hold for every input: those that the runtime finds in the graphs of the stages before,
 * by the name of the value. That a size was the same in some runs proves nothing.
 */
export function withSizes(stage: Stage, shapes: Shapes): Stage {
  const inputs = stage.part.inputs.map((input) =>
    'record' in input ? input : { ...input, dims: input.dims.map((dim, d) => dim ?? sizeOf(shapes, input.name, d)) },
  );
  return { ...stage, part: { ...stage.part, inputs } };
}

/** What a cut hands on, with no other sizes than those. */
export function cutWithSizes(cut: Cut, shapes: Shapes): Cut {
  const dimsOf = ({ name, dims }: CarriedValue): OnnxDim[] =>
    dims.map((dim, d) => (typeof dim === 'string' ? dim : sizeOf(shapes, name, d)));
  return { ...cut, values: cut.values.map((value) => ({ ...value, dims: dimsOf(value) })) };
}

/** By the name of a value; -1: a size that varies. */
type Shapes = ReadonlyMap<string, readonly number[]>;

function sizeOf(shapes: Shapes, name: string, d: number): OnnxDim {
  const size = shapes.get(name)?.[d] ?? -1;
  return size < 0 ? null : size;
}

interface Closure {
  nodes: Set<OnnxNode>;
  weights: Set<string>;
  inputs: Set<string>;
  taken: Set<string>;
}

class Lookup {
  private readonly producers: Map<string, OnnxNode>;
  private readonly weights: Set<string>;

  constructor({ nodes, weights }: OnnxGraph) {
    this.producers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
    this.weights = new Set(weights.map(({ name }) => name));
  }

  /** All that is needed for values, up to those that are taken from elsewhere. */
  closure(values: readonly string[], isTaken: (name: string) => boolean): Closure {
    const found: Closure = { nodes: new Set(), weights: new Set(), inputs: new Set(), taken: new Set() };
    const seen = new Set<string>();
    const waiting = [...values];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const node = this.producers.get(name);
      if (isTaken(name)) found.taken.add(name);
      else if (node !== undefined) {
        found.nodes.add(node);
        waiting.push(...node.inputs);
      } else if (this.weights.has(name)) found.weights.add(name);
      else found.inputs.add(name);
    }
    return found;
  }
}
