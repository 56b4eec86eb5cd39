import { InterleaveError, type InferenceItem, type Tensor } from '@app/contracts';
import type { HeadStep, ServedModel, TextModel } from '@app/models';
import { rowOf, rowsOf, stackRows } from './rows';

const NO_TIME = { queueUs: 0, runUs: 0, runRows: 0, startedNs: 0 };
const MASK = 'attention_mask';
const AS_TEXT_MODEL =
  "leave the tokenizer and the head out of the steps, and put tokenizer.json and the other files of the head's model beside the model.yaml of the graph, which makes it a text model itself";
const SEND_MASK = 'send 1 for each token and 0 for the padding after them';

/** A head as a step, and what its graph gives it. */
export interface PlacedHead {
  model: ServedModel;
  headStep: HeadStep;
  /** Its `input_map` has the mask. */
  takesMask: boolean;
}

/** A tokenizer as a step. */
export interface PlacedTokenizer {
  label: string;
  model: ServedModel;
}

/** Why a head would give wrong answers behind these tokenizers, and what to do; null: it would not. */
export function headProblem({ model, headStep, takesMask }: PlacedHead, tokenizers: readonly PlacedTokenizer[]): string | null {
  const prompted = tokenizers.find(({ model: { text } }) => (text?.defaultPrompt ?? '') !== '');
  if (headStep.skipsPrompt && prompted !== undefined)
    return `its pooling leaves prompts out (include_prompt), and step ${prompted.label} puts one before each text, which token vectors do not tell; ${AS_TEXT_MODEL}`;
  if (takesMask || !headStep.countsPadding) return null;
  const padding = tokenizers.find((tokenizer) => hasFixedLength(tokenizer.model));
  if (padding === undefined && !hasFixedLength(model) && (headStep.input.shape[1] ?? -1) < 0) return null;
  const padded = padding === undefined ? 'its model has' : `step ${padding.label} makes`;
  return `${padded} rows of one length, and nothing says which of their token vectors are padding; ${maskAdvice(tokenizers)}`;
}

function maskAdvice(tokenizers: readonly PlacedTokenizer[]): string {
  if (tokenizers.length === 0) return `map ${MASK} in its input_map, with 1 for each token and 0 for the padding after them`;
  const masking = tokenizers.find(({ model }) => model.signature.inputs.some(({ name }) => name === MASK));
  return masking === undefined ? AS_TEXT_MODEL : `map the ${MASK} that step ${masking.label} makes to ${MASK} in its input_map`;
}

const hasFixedLength = ({ signature }: ServedModel): boolean => (signature.inputs[0]?.shape[1] ?? -1) >= 0;

/** What a head makes of an item. Throws `invalid_request` where it cannot tell tokens from padding. */
export function answerOfHead({ inputs }: InferenceItem, text: TextModel): Tensor[] {
  const { input, output } = text.headStep as HeadStep;
  const given = inputs.find(({ name }) => name === input.name) as Tensor;
  const mask = inputs.find(({ name }) => name === MASK);
  const rows = rowsOf(given);
  if (rows > 1 && given.shape.length > 2 && mask === undefined)
    throw new InterleaveError(
      'invalid_request',
      `expected one row of token vectors but received ${rows}, of which nobody says what is padding; send one row a request, or map ${MASK} to the head in the graph's model.yaml`,
    );
  if (rows === 0) return [{ ...output, shape: [0, Math.max(output.shape[1] ?? 0, 0)], data: new Uint8Array(0) }];
  const counts = mask === undefined ? [] : tokenCounts(mask, given.shape.slice(0, 2));
  const answers = Array.from({ length: rows }, (_, row) =>
    text.answerRow({ outputs: [rowOf(given, row)], timing: NO_TIME }, counts[row] ?? null),
  );
  return [stackRows(answers.map((values) => ({ ...output, shape: [1, values.length], data: bytesOf(values) })))];
}

/** Of each row. */
function tokenCounts({ datatype, shape, data }: Tensor, expected: readonly number[]): number[] {
  if (shape.join() !== expected.join())
    throw new InterleaveError(
      'invalid_request',
      `expected ${MASK} to be [${expected.join(', ')}], as the token vectors are, but received [${shape.join(', ')}]; ${SEND_MASK}`,
    );
  const [rows = 0, length = 0] = shape;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const valueAt = (i: number): number => (datatype === 'INT64' ? Number(view.getBigInt64(i * 8, true)) : view.getInt32(i * 4, true));
  return Array.from({ length: rows }, (_, row) => {
    const values = Array.from({ length }, (_, i) => valueAt(row * length + i));
    const count = values.findIndex((value) => value !== 1);
    if (count < 0) return length;
    if (count > 0 && values.slice(count).every((value) => value === 0)) return count;
    const at = values.findIndex((value, i) => i >= count && value !== 0);
    const received = count === 0 ? `${values[0]} at its beginning` : `${values[at]} at ${at} behind ${count} tokens`;
    throw new InterleaveError(
      'invalid_request',
      `expected a row of ${MASK} to be ones and then zeros but row ${row} has ${received}; ${SEND_MASK}`,
    );
  });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);
