import { InterleaveError, type InferenceItem, type ItemResult, type ModelSignature, type Tensor } from '@app/contracts';
import type { ModelView, ServedModel, TextModel } from '@app/models';
import { answerOfHead, headProblem } from './head-steps';
import type { Step } from './graph';

/** Name of the one input of a tokenizer as a step. */
const TEXT = 'text';
const TEXT_INPUT = { name: TEXT, datatype: 'BYTES' as const, shape: [-1], axes: ['batch' as const] };
const PADDED = { coalesce: 'padded' as const, coalesceReason: null };
const LENGTH_BYTES = 4;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * What a tokenizer or a head looks like as a step among the `steps` of its graph; null: its model is not bound yet; a text: why it is
 * none.
 */
export function textStepSignature(step: Step, steps: readonly Step[], models: ModelView | null): ModelSignature | string | null {
  const model = models?.ofRevision(step.revision)?.model ?? null;
  if (model === null) return null;
  const { text, signature } = model;
  if (text === null) return `its model has no tokenizer that is used: ${model.tensorsBecause ?? 'it takes tensors'}`;
  if (step.kind === 'tokenizer') return { inputs: [TEXT_INPUT], outputs: signature.inputs, ...PADDED };
  const { headStep } = text;
  if (headStep === null) return `the answers of task "${model.task}" are no tensors; take the outputs of the model itself`;
  const { input, output, mask } = headStep;
  const takesMask = mask !== null && Object.hasOwn(step.inputMap, mask.name);
  const tokenizers = steps.flatMap((other) => {
    const own = other.kind === 'tokenizer' ? models?.ofRevision(other.revision)?.model : undefined;
    return own === undefined ? [] : [{ label: other.label, model: own }];
  });
  const problem = headProblem({ model, headStep, takesMask }, tokenizers);
  return problem ?? { inputs: takesMask ? [input, mask] : [input], outputs: [output], ...PADDED };
}

/** Runs a tokenizer or a head here: it takes less time than a way to a worker and back. */
export async function runTextStep(step: Step, items: InferenceItem[], models: ModelView | null): Promise<(ItemResult | InterleaveError)[]> {
  const model = models?.ofRevision(step.revision)?.model;
  const { text } = model ?? {};
  if (model === undefined || !text)
    throw new InterleaveError('worker_unavailable', 'its model is loading; try again', { retryAfterSeconds: 1 });
  const startedMs = performance.now();
  const outputs =
    step.kind === 'tokenizer' ? await tokenize(items, model, text) : items.map((item) => attempt(() => answerOfHead(item, text)));
  const runUs = Math.round(((performance.now() - startedMs) * 1000) / items.length);
  const timing = { queueUs: 0, runUs, runRows: 0, startedNs: 0 };
  return outputs.map((made) => (made instanceof InterleaveError ? made : { outputs: made, timing }));
}

/** Each item has one text. */
async function tokenize(
  items: readonly InferenceItem[],
  { signature }: ServedModel,
  text: TextModel,
): Promise<(Tensor[] | InterleaveError)[]> {
  return Promise.all(
    items.map(async ({ inputs }) => {
      try {
        const [row] = await text.encode([textOf(inputs[0] as Tensor)], { truncate: false, topK: null, promptName: null });
        return signature.inputs.flatMap(({ name }) => row?.item.inputs.find((tensor) => tensor.name === name) ?? []);
      } catch (error) {
        if (!(error instanceof InterleaveError)) throw error;
        // A step has no parameter by which a text could be cut.
        return new InterleaveError(error.code, `${error.message.split('; ')[0]}; send a shorter text`);
      }
    }),
  );
}

function textOf({ data, shape }: Tensor): string {
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = data.byteLength < LENGTH_BYTES ? -1 : new DataView(data.buffer, data.byteOffset).getUint32(0, true);
  if (count !== 1 || LENGTH_BYTES + bytes !== data.byteLength)
    throw new InterleaveError(
      'invalid_request',
      `expected one text a row but received ${count}; have the step before it make one row of each`,
    );
  try {
    return decoder.decode(data.subarray(LENGTH_BYTES));
  } catch {
    throw new InterleaveError('invalid_request', 'expected a text in UTF-8 but received other bytes; encode it in UTF-8');
  }
}

function attempt<T>(work: () => T): T | InterleaveError {
  try {
    return work();
  } catch (error) {
    if (error instanceof InterleaveError) return error;
    throw error;
  }
}
