import { stepName, type StepKind } from '@app/contracts';
import { ModelFileError } from '../model-files';
import type { StepOfFile } from './steps-schema';

/** One step as `model.yaml` has it, in the words of `GraphStepPlan`. */
export interface GraphStep {
  kind: StepKind;
  model: string;
  /** Null: the newest when the graph is read. */
  version: string | null;
  /** Nodes of the fleet run it where this one does not have the model. */
  fleet: boolean;
  inputMap: Record<string, string>;
  outputMap: Record<string, string>;
}

/** A model whose runs are runs of other models. */
export interface GraphManifest {
  /** In an order in which they can run. */
  steps: GraphStep[];
  outputs: string[];
}

/** The tensors of a graph that no step makes, in the order in which steps take them. */
export function graphInputs(steps: readonly Pick<GraphStep, 'inputMap' | 'outputMap'>[]): string[] {
  const made = new Set(steps.flatMap(({ outputMap }) => Object.values(outputMap)));
  return [...new Set(steps.flatMap(({ inputMap }) => Object.values(inputMap)))].filter((tensor) => !made.has(tensor));
}

/** Throws a `ModelFileError` that names all that is wrong with the steps of the graph `name`, whatever its models are. */
export function graphManifest(name: string, stepsOfFile: readonly StepOfFile[], outputs: readonly string[] | null): GraphManifest {
  const steps = stepsOfFile.map(readStep);
  const taken = new Set(steps.flatMap(({ inputMap }) => Object.values(inputMap)));
  const made = steps.flatMap(({ outputMap }) => Object.values(outputMap));
  const chosen = outputs ?? [...new Set(made)].filter((tensor) => !taken.has(tensor));
  const order = inOrder(steps);
  const problems = [
    ...steps.flatMap((step, i) => mapProblems(step, i, name)),
    ...repeated(made).map((tensor) => `${makersOf(tensor, steps)} both make "${tensor}"; give one of them another name`),
    ...(order.length < steps.length ? [cycleText(steps, order)] : []),
    ...outputProblems(chosen, made, outputs === null),
    ...(outputs === null ? [] : unusedTensors(steps, taken, outputs)),
    ...(graphInputs(steps).length === 0 ? ['every tensor is made by a step, so the graph has no input'] : []),
  ];
  if (problems.length > 0) throw new ModelFileError(`model.yaml: steps: ${problems.join('; ')}`);
  return { steps: order, outputs: [...chosen] };
}

function readStep(step: StepOfFile): GraphStep {
  const { version = null, input_map: inputMap, output_map: outputMap } = step;
  const [kind, model] =
    'model' in step
      ? (['model', step.model] as const)
      : 'tokenizer' in step
        ? (['tokenizer', step.tokenizer] as const)
        : (['head', step.head] as const);
  return { kind, model, version, fleet: 'fleet' in step && step.fleet === true, inputMap, outputMap };
}

function mapProblems(step: GraphStep, index: number, graph: string): string[] {
  const subject = `step ${stepName(step, index)}`;
  return [
    ...(step.fleet && step.version === null
      ? [`${subject} has "fleet" without a version, and nodes may have different ones; write version: '1', or the one that is meant`]
      : []),
    ...(step.model === graph ? [`${subject} is the graph itself`] : []),
    ...(Object.keys(step.inputMap).length === 0 ? [`${subject} takes nothing; name its inputs in input_map`] : []),
    ...(Object.keys(step.outputMap).length === 0 ? [`${subject} makes nothing; name an output in output_map, or leave the step out`] : []),
  ];
}

function makersOf(tensor: string, steps: readonly GraphStep[]): string {
  const makers = steps.flatMap((step, i) =>
    Object.values(step.outputMap)
      .filter((made) => made === tensor)
      .map(() => `step ${stepName(step, i)}`),
  );
  return makers.join(' and ');
}

const repeated = (names: readonly string[]): string[] => [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];

/** Those that can run, each after all that it takes from. */
function inOrder(steps: readonly GraphStep[]): GraphStep[] {
  const ready = new Set(graphInputs(steps));
  const order: GraphStep[] = [];
  for (;;) {
    const next = steps.find((step) => !order.includes(step) && Object.values(step.inputMap).every((tensor) => ready.has(tensor)));
    if (next === undefined) return order;
    order.push(next);
    for (const tensor of Object.values(next.outputMap)) ready.add(tensor);
  }
}

function cycleText(steps: readonly GraphStep[], order: readonly GraphStep[]): string {
  const stuck = steps.flatMap((step, i) => (order.includes(step) ? [] : [`step ${stepName(step, i)}`]));
  return `${stuck.join(', ')} wait for one another; a step can only take what steps make that do not need it`;
}

function outputProblems(outputs: readonly string[], made: readonly string[], isDefault: boolean): string[] {
  if (isDefault && outputs.length === 0) return ['every tensor is taken by a step, so the graph has no output; name some in "outputs"'];
  return [
    ...outputs.filter((tensor) => !made.includes(tensor)).map((tensor) => `outputs: no step makes "${tensor}"`),
    ...repeated(outputs).map((tensor) => `outputs: "${tensor}" is there twice`),
  ];
}

function unusedTensors(steps: readonly GraphStep[], taken: ReadonlySet<string>, outputs: readonly string[]): string[] {
  return steps.flatMap((step, i) =>
    Object.values(step.outputMap)
      .filter((tensor) => !taken.has(tensor) && !outputs.includes(tensor))
      .map((tensor) => `step ${stepName(step, i)} makes "${tensor}", which nobody takes; take it out of output_map or add it to outputs`),
  );
}
