import { stepName, type Axis, type CoalesceMode, type GraphStepPlan, type ModelSignature, type TensorSpec } from '@app/contracts';
import { graphInputs } from './graph-manifest';
import { Groups } from './groups';

export type JoinableStep = Pick<GraphStepPlan, 'model' | 'inputMap' | 'outputMap'>;
type SequenceAxis = Extract<Axis, 'sequence0' | 'sequence1'>;

/** How a graph's tensor looks to one of its steps. */
interface View {
  /** The step and the tensor's name there, for messages. */
  who: string;
  spec: TensorSpec;
}

/** One tensor of a graph: who makes it (undefined: a caller) and who takes it. */
interface GraphTensor {
  name: string;
  maker: View | undefined;
  takers: View[];
}

const SEQUENCES: readonly SequenceAxis[] = ['sequence0', 'sequence1'];
/** Of the strictest step first. */
const MODES: readonly CoalesceMode[] = ['alone', 'equal-length', 'padded'];

/** A graph whose steps fit together. */
export interface JoinedGraph {
  signature: ModelSignature;
  /** All of its tensors, by name. */
  tensors: ReadonlyMap<string, TensorSpec>;
}

/**
 * The inputs and outputs of a graph, of those of its steps, which come in the order of `steps`; or all that does not fit. A length that
 * one step's tensors share is one length of the graph.
 */
export function joinSignatures(
  { steps, outputs }: { steps: readonly JoinableStep[]; outputs: readonly string[] },
  signatures: readonly ModelSignature[],
): JoinedGraph | { problems: string[] } {
  const missing = steps.flatMap((step, i) => nameProblems(step, i, signatures[i] as ModelSignature));
  if (missing.length > 0) return { problems: missing };
  const tensors = tensorsOf(steps, signatures);
  const problems = [...tensors.values()].flatMap(tensorProblems);
  if (problems.length > 0) return { problems };
  const inputs = graphInputs(steps);
  const specs = [...tensors.values()].map(specOf);
  const lengths = lengthsOf(
    steps,
    signatures,
    specs.filter(({ name }) => inputs.includes(name)),
  );
  const named = specs.map((spec) => ({ ...spec, axes: spec.axes.map((axis, dim) => lengths(spec.name, dim, axis)) }));
  const byName = new Map(named.map((spec) => [spec.name, spec]));
  const pick = (names: readonly string[]): TensorSpec[] => names.flatMap((name) => byName.get(name) ?? []);
  return { signature: { inputs: pick(inputs), outputs: pick(outputs), ...strictest(steps, signatures) }, tensors: byName };
}

function nameProblems(step: JoinableStep, index: number, { inputs, outputs }: ModelSignature): string[] {
  const subject = `step ${stepName(step, index)}`;
  const [taken, made] = [Object.keys(step.inputMap), Object.keys(step.outputMap)];
  const unknown = (names: string[], specs: TensorSpec[], map: string): string[] =>
    names
      .filter((name) => !specs.some((spec) => spec.name === name))
      .map((name) => `${subject}: ${map}: the model has no "${name}"; it has ${specs.map((spec) => spec.name).join(', ')}`);
  const left = inputs.filter(({ name }) => !taken.includes(name));
  return [
    ...unknown(taken, inputs, 'input_map'),
    ...unknown(made, outputs, 'output_map'),
    ...left.map((spec) => `${subject}: input_map lacks "${spec.name}", ${typeText(spec)}; say which tensor it is`),
  ];
}

function tensorsOf(steps: readonly JoinableStep[], signatures: readonly ModelSignature[]): Map<string, GraphTensor> {
  const tensors = new Map<string, GraphTensor>();
  const tensorOf = (name: string): GraphTensor => {
    const tensor = tensors.get(name) ?? { name, maker: undefined, takers: [] };
    tensors.set(name, tensor);
    return tensor;
  };
  steps.forEach((step, i) => {
    const view = (own: string, specs: TensorSpec[] = []): View => ({
      who: `step ${stepName(step, i)} ("${own}")`,
      spec: specs.find(({ name }) => name === own) as TensorSpec,
    });
    for (const [own, name] of Object.entries(step.inputMap)) tensorOf(name).takers.push(view(own, signatures[i]?.inputs));
    for (const [own, name] of Object.entries(step.outputMap)) tensorOf(name).maker = view(own, signatures[i]?.outputs);
  });
  return tensors;
}

/** A made tensor has to suit each that takes it; takers of a caller's tensor have to agree. */
function tensorProblems({ name, maker, takers }: GraphTensor): string[] {
  const [first = takers[0], others] = maker === undefined ? [takers[0], takers.slice(1)] : [maker, takers];
  const verb = maker === undefined ? 'takes' : 'makes';
  return others.flatMap((taker) => {
    const reason = first === undefined ? null : mismatch(first.spec, taker.spec, maker !== undefined);
    if (first === undefined || reason === null) return [];
    return [
      `"${name}": ${first.who} ${verb} ${typeText(first.spec)}, and ${taker.who} takes ${typeText(taker.spec)}: ${reason}; map a tensor of ${typeText(taker.spec)} to it`,
    ];
  });
}

/** Null: they fit. */
function mismatch(given: TensorSpec, taken: TensorSpec, isMade: boolean): string | null {
  if (given.datatype !== taken.datatype) return 'the types differ';
  if (given.shape.length !== taken.shape.length) return 'the numbers of dimensions differ';
  const dim = given.shape.findIndex((_, i) => !dimensionFits(given, taken, i, isMade));
  return dim < 0 ? null : `dimension ${dim} does not fit`;
}

/** `isMade`: the first is made by a step, so that its length is what it is; else a caller can suit both. */
function dimensionFits(given: TensorSpec, taken: TensorSpec, dim: number, isMade: boolean): boolean {
  const [size = -1, wanted = -1] = [given.shape[dim], taken.shape[dim]];
  if (size >= 0 && wanted >= 0) return size === wanted;
  const [from, to] = [kindOf(given.axes[dim]), kindOf(taken.axes[dim])];
  if (from === 'free' || to === 'free') return true;
  if (from === to) return true;
  if (from === 'batch' || (to === 'batch' && from !== 'fixed')) return false;
  return to !== 'fixed' || !isMade;
}

function kindOf(axis: Axis | undefined): 'batch' | 'sequence' | 'fixed' | 'free' {
  return axis === 'sequence0' || axis === 'sequence1' ? 'sequence' : (axis ?? 'free');
}

/** What is made; or what suits all that take it. */
function specOf({ name, maker, takers }: GraphTensor): TensorSpec {
  if (maker !== undefined) return { ...maker.spec, name };
  const specs = takers.map(({ spec }) => spec);
  const first = specs[0] as TensorSpec;
  const strictestAt = (dim: number): TensorSpec =>
    specs.find(({ shape }) => (shape[dim] ?? -1) >= 0) ?? specs.find(({ axes }) => axes[dim] !== 'free') ?? first;
  return {
    name,
    datatype: first.datatype,
    shape: first.shape.map((_, dim) => strictestAt(dim).shape[dim] ?? -1),
    axes: first.axes.map((_, dim) => strictestAt(dim).axes[dim] ?? 'free'),
  };
}

/** Names the lengths of the graph: those of a caller's tensors in the order of their first appearance; others are not understood. */
function lengthsOf(
  steps: readonly JoinableStep[],
  signatures: readonly ModelSignature[],
  inputs: readonly TensorSpec[],
): (tensor: string, dim: number, axis: Axis) => Axis {
  const groups = new Groups();
  const join = (step: number, map: Record<string, string>, specs: readonly TensorSpec[] = []): void => {
    for (const { name, axes } of specs)
      axes.forEach((axis, dim) => {
        const tensor = map[name];
        if (tensor !== undefined && kindOf(axis) === 'sequence') groups.join(`${step} ${axis}`, `${tensor}\n${dim}`);
      });
  };
  steps.forEach(({ inputMap, outputMap }, i) => {
    join(i, inputMap, signatures[i]?.inputs);
    join(i, outputMap, signatures[i]?.outputs);
  });
  const named = new Map<string, Axis>();
  for (const { name, axes } of inputs)
    axes.forEach((axis, dim) => {
      const group = groups.of(`${name}\n${dim}`);
      if (kindOf(axis) === 'sequence' && !named.has(group)) named.set(group, SEQUENCES[named.size] ?? 'free');
    });
  return (tensor, dim, axis) => (kindOf(axis) === 'sequence' ? (named.get(groups.of(`${tensor}\n${dim}`)) ?? 'free') : axis);
}

function strictest(
  steps: readonly JoinableStep[],
  signatures: readonly ModelSignature[],
): Pick<ModelSignature, 'coalesce' | 'coalesceReason'> {
  const coalesce = MODES.find((mode) => signatures.some((signature) => signature.coalesce === mode)) ?? 'alone';
  const index = signatures.findIndex((signature) => signature.coalesce === coalesce);
  const step = steps[index];
  if (coalesce === 'padded' || step === undefined) return { coalesce, coalesceReason: null };
  return { coalesce, coalesceReason: `step ${stepName(step, index)}: ${signatures[index]?.coalesceReason ?? 'no reason given'}` };
}

/** As in `FP32 [batch, sequence, 64]`. */
function typeText({ datatype, shape, axes }: TensorSpec): string {
  const sizes = shape.map((size, dim) =>
    size >= 0 ? String(size) : ({ free: 'any', fixed: 'any' }[axes[dim] as string] ?? kindOf(axes[dim])),
  );
  return `${datatype} [${sizes.join(', ')}]`;
}
