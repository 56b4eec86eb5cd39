import { DATATYPES, type Datatype } from '@app/contracts';
import type { DeclaredValue, OnnxDim, OnnxGraph } from '@app/onnx-file';
import type { ExampleAxis } from './example-inputs';
import { bytesOf, type Profile, type ProfiledNode, type SeenValue } from './profile';

/** Share of the whole model's time that may be spent again in a later stage instead of carrying a value there. */
const REPEATED_SHARE_MAX = 0.02;
const RANDOM = /Random|Multinomial|Bernoulli|Dropout|Sampling/;

/** A value that goes from one stage to another. Its sizes are those that were the same in all runs: another length may have others. */
export interface CarriedValue extends DeclaredValue {
  datatype: Datatype;
  /** At the size of the run whose times count. */
  bytes: number;
}

/** A place where the graph may be cut: after a node of the optimised graph. */
export interface Cut {
  /** Position of that node. */
  after: number;
  /** Time of all nodes up to there. */
  us: number;
  /** What is made before and used behind it, but for what is cheaper to make again. */
  values: CarriedValue[];
  bytes: number;
}

export interface CandidateOptions {
  /** As the file has it: a value can be carried if it is in there too. */
  original: OnnxGraph;
  axes: readonly ExampleAxis[];
  /** Where rows are stacked, every value that is carried begins with their axis. */
  rowAxis: string | null;
}

/**
 * Every place where the graph may be cut. The optimised graph says which: a value that is still there is not within anything that
 * the runtime has fused, so both sides keep their kernels.
 */
export function findCuts({ graph, nodes, totalUs }: Profile, { original, axes, rowAxis }: CandidateOptions): Cut[] {
  const producers = new Map(nodes.flatMap((each, position) => each.node.outputs.map((name) => [name, position] as const)));
  const lastUses = new Map(nodes.flatMap(({ node }, position) => node.inputs.map((name) => [name, position] as const)));
  const given = new Set(graph.inputs.map(({ name }) => name));
  const published = new Set(graph.outputs.map(({ name }) => name));
  const inOriginal = new Set(original.nodes.flatMap(({ outputs }) => outputs));
  const repeated = new RepeatedValues(nodes, producers, totalUs * REPEATED_SHARE_MAX);

  const carried = (name: string): CarriedValue | null => {
    const seen = nodes[producers.get(name) ?? -1]?.outputs.get(name);
    const dims = seen === undefined || !inOriginal.has(name) ? null : dimsOf(seen, axes);
    if (seen === undefined || dims === null || (rowAxis !== null && dims[0] !== rowAxis)) return null;
    const { datatype } = seen;
    return { name, elementType: DATATYPES[datatype].onnx, datatype, dims, bytes: bytesOf(seen) };
  };

  const cuts: Cut[] = [];
  const live = new Map<string, CarriedValue | null>();
  let us = 0;
  for (const [after, { node, us: own }] of nodes.slice(0, -1).entries()) {
    us += own;
    for (const name of node.outputs) if ((lastUses.get(name) ?? -1) > after && !repeated.isCheap(name)) live.set(name, carried(name));
    for (const name of [...node.inputs, ...node.outputs]) if (!given.has(name) && (lastUses.get(name) ?? -1) <= after) live.delete(name);
    const values = [...live.values()];
    // What is made up to here may all be cheap; then a stage would give nothing, but for an output that has just been made.
    const givesSomething = values.length > 0 || node.outputs.some((name) => published.has(name));
    if (givesSomething && values.every((value) => value !== null))
      cuts.push({ after, us, values, bytes: values.reduce((sum, value) => sum + value.bytes, 0) });
  }
  return cuts;
}

/**
 * Sizes and names of a value's axes, from its shapes in the runs; null: one of them follows no axis of the inputs. An axis that the runs do
 * not tell from another one, or from a size, has no name.
 */
function dimsOf({ shapes }: SeenValue, axes: readonly ExampleAxis[]): OnnxDim[] | null {
  const [first = []] = shapes;
  if (shapes.some(({ length }) => length !== first.length)) return null;
  const dims: OnnxDim[] = [];
  for (const [d, size] of first.entries()) {
    const sizes = shapes.map((shape) => shape[d]);
    const [axis, ...others] = axes.filter((each) => each.sizes.every((own, run) => own === sizes[run]));
    if (sizes.every((own) => own === size)) dims.push(axis === undefined ? size : null);
    else if (axis !== undefined) dims.push(others.length === 0 ? axis.name : null);
    else return null;
  }
  return dims;
}

/** Which values take so little time from the inputs on that a later stage makes them again, such as what is added to scores for a mask. */
class RepeatedValues {
  private readonly known = new Map<string, boolean>();

  constructor(
    private readonly nodes: readonly ProfiledNode[],
    private readonly producers: ReadonlyMap<string, number>,
    private readonly usMax: number,
  ) {}

  isCheap(name: string): boolean {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const isCheap = this.find(name);
    this.known.set(name, isCheap);
    return isCheap;
  }

  private find(name: string): boolean {
    const seen = new Set<number>();
    const waiting = [name];
    let us = 0;
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const position = this.producers.get(next);
      if (position === undefined || seen.has(position)) continue;
      seen.add(position);
      const { node, us: own } = this.nodes[position] as ProfiledNode;
      us += own;
      // Drawn again, a random number is another one. What was not cheap before makes nothing cheap.
      if (us > this.usMax || RANDOM.test(node.operator) || this.known.get(next) === false) return false;
      waiting.push(...node.inputs);
    }
    return true;
  }
}
