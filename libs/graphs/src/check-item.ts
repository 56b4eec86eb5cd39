import { InterleaveError, type InferenceItem, type ModelSignature } from '@app/contracts';

/**
 * Throws `invalid_request` for inputs or outputs that the graph does not have, or of another type. Sizes are the word of the models of
 * its steps.
 */
export function checkGraphItem(item: InferenceItem, { inputs, outputs }: ModelSignature): void {
  item.inputs.forEach(({ name, datatype, shape }, i) => {
    const spec = inputs.find((other) => other.name === name);
    if (spec === undefined) throw invalid(`inputs[${i}].name`, `expected one of ${namesOf(inputs)} but received "${name}"`);
    if (spec.datatype !== datatype)
      throw invalid(`inputs[${i}].datatype`, `expected ${spec.datatype} for ${name} but received ${datatype}`);
    if (spec.shape.length !== shape.length)
      throw invalid(`inputs[${i}].shape`, `expected ${spec.shape.length} dimensions for ${name} but received [${shape.join(', ')}]`);
  });
  for (const { name } of inputs) {
    const count = item.inputs.filter((input) => input.name === name).length;
    if (count !== 1) throw invalid('inputs', `expected input ${name} once but received it ${count} times`);
  }
  item.outputs?.forEach((name, i) => {
    if (!outputs.some((output) => output.name === name))
      throw invalid(`outputs[${i}].name`, `expected one of ${namesOf(outputs)} but received "${name}"`);
  });
}

const namesOf = (specs: readonly { name: string }[]): string => specs.map(({ name }) => name).join(', ');

function invalid(param: string, message: string): InterleaveError {
  return new InterleaveError('invalid_request', `${param}: ${message}`, { param });
}
