import { InterleaveError, type InferenceItem, type ItemResult, type ModelSignature, type Tensor } from '@app/contracts';
import type { ModelView, ServedModel, TextModel } from '@app/models';
import { rowOf, rowsOf, stackRows } from './rows';
import type { Step } from './graph';

/** Name of the one input of a tokenizer as a step. */
const TEXT = 'text';
const TEXT_INPUT = { name: TEXT, datatype: 'BYTES' as const, shape: [-1], axes: ['batch' as const] };
const PADDED = { coalesce: 'padded' as const, coalesceReason: null };
const LENGTH_BYTES = 4;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a tokenizer or a head looks like as a step; null: its model is not bound yet; a text: why it is none. */
export function textStepSignature(step: Step, models: ModelView | null): ModelSignature | string | null {
  const model = models?.ofRevision(step.revision)?.model ?? null;
  if (model === null) return null;
  const { text, signature } = model;
  if (text === null) return `its model has no tokenizer that is used: ${model.tensorsBecause ?? 'it takes tensors'}`;
  if (step.kind === 'tokenizer') return { inputs: [TEXT_INPUT], outputs: signature.inputs, ...PADDED };
  if (text.headStep === null) return `the answers of task "${model.task}" are no tensors; take the outputs of the model itself`;
  return { inputs: [text.headStep.input], outputs: [text.headStep.output], ...PADDED };
}

/** Runs a tokenizer or a head here: it takes less time than a way to a worker and back. */
export async function runTextStep(step: Step, items: InferenceItem[], models: ModelView | null): Promise<(ItemResult | InterleaveError)[]> {
  const model = models?.ofRevision(step.revision)?.model;
  const { text } = model ?? {};
  if (model === undefined || !text)
    throw new InterleaveError('worker_unavailable', 'its model is loading; try again', { retryAfterSeconds: 1 });
  const startedMs = performance.now();
  const outputs = step.kind === 'tokenizer' ? await tokenize(items, model, text) : items.map((item) => attempt(() => answer(item, text)));
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

function answer(item: InferenceItem, text: TextModel): Tensor[] {
  const { output } = text.headStep as NonNullable<TextModel['headStep']>;
  const given = item.inputs[0] as Tensor;
  const rows = rowsOf(given);
  if (rows > 1 && given.shape.length > 2)
    throw new InterleaveError(
      'invalid_request',
      `expected one row of token vectors but received ${rows}, of which nobody says what is padding; send one row a request`,
    );
  const answers = Array.from({ length: rows }, (_, row) => text.answerRow({ outputs: [rowOf(given, row)], timing: NO_TIME }));
  return [stackRows(answers.map((values) => ({ ...output, shape: [1, values.length], data: bytesOf(values) })))];
}

const NO_TIME = { queueUs: 0, runUs: 0, runRows: 0, startedNs: 0 };

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);

function attempt<T>(work: () => T): T | InterleaveError {
  try {
    return work();
  } catch (error) {
    if (error instanceof InterleaveError) return error;
    throw error;
  }
}
