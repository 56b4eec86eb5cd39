import { InterleaveError, type InferenceItem, type ModelSignature, type NodeHeartbeat, type Tensor, type TensorSpec } from '@app/contracts';
import { readInferAnswer } from '@app/protocols';

/** The outputs in the answer of another node to an item. Throws `worker_unavailable` where the model cannot have made them. */
export function readAnswer(bytes: Buffer, { id }: Pick<NodeHeartbeat, 'id'>, item: InferenceItem, signature: ModelSignature): Tensor[] {
  try {
    return outputsIn(bytes, item, signature);
  } catch (error) {
    const reason = `node ${id}: its answer cannot be used: ${(error as Error).message}`;
    throw new InterleaveError('worker_unavailable', reason, { cause: error, retryAfterSeconds: 1 });
  }
}

function outputsIn(bytes: Buffer, item: InferenceItem, signature: ModelSignature): Tensor[] {
  const answered = readInferAnswer(bytes);
  const rows = signature.coalesce === 'alone' ? null : rowsOf(item, signature);
  const asked = signature.outputs.filter(({ name }) => item.outputs?.includes(name) ?? true);
  return asked.map((spec) => {
    const output = answered.find(({ name }) => name === spec.name);
    const problem = output === undefined ? 'it is not there' : problemOf(output, spec, rows);
    if (output === undefined || problem !== null) throw new Error(`output "${spec.name}": ${problem}`);
    return output;
  });
}

/** Null: it may be what the model made. `rows`: those of the item; null: they say nothing of the outputs. */
function problemOf({ datatype, shape }: Tensor, spec: TensorSpec, rows: number | null): string | null {
  if (datatype !== spec.datatype) return `expected ${spec.datatype} but received ${datatype}`;
  if (shape.some((size) => size < 0)) return `received the shape [${shape.join(', ')}]`;
  const isOfRows = spec.axes[0] === 'batch' && rows !== null;
  return isOfRows && shape[0] !== rows ? `expected ${rows} rows but received ${shape[0]}` : null;
}

/** Null: no input has rows. */
function rowsOf({ inputs }: InferenceItem, { inputs: specs }: ModelSignature): number | null {
  const input = inputs.find(({ name }) => specs.find((spec) => spec.name === name)?.axes[0] === 'batch');
  return input?.shape[0] ?? null;
}
