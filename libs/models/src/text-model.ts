import { InterleaveError, type ItemResult, type ModelSignature, type Task, type Tensor, type TensorSpec } from '@app/contracts';
import { classificationHead, scoringHead, tokenClassificationHead } from './heads/classification';
import { embeddingHead } from './heads/embedding';
import { describeSpecs, type RowContext, type TaskHead } from './heads/head';
import { ModelFileError } from './hugging-face';
import type { TextManifest } from './manifest';
import type { TextAndPair, TextTokenizer, TokenizedText } from './tokenizer';
import type { EncodeOptions, TextInput, TextModel, TextRow } from './types';

/** Longer texts are refused, or cut, before they are tokenized: tokenizing them would cost seconds. */
const CHARACTERS_PER_TOKEN_MAX = 256;

const SHOWN_CHARACTERS_MAX = 64;
/** Taking over the tokens of a text costs the event loop some 25 µs: this many at a time keep its pauses near 2 ms. */
const TEXTS_PER_TURN = 64;
/** The same for long texts. */
const CHARACTERS_PER_TURN = 16 * 1024;

/** How each known input of a text model is filled; a row that is padded here is padded with these. */
const INPUTS = new Map<string, (row: TokenizedText, padTokenId: number) => { values: number[]; pad: number }>([
  ['input_ids', (row, padTokenId) => ({ values: row.ids, pad: padTokenId })],
  ['attention_mask', (row) => ({ values: new Array<number>(row.ids.length).fill(1), pad: 0 })],
  ['token_type_ids', (row) => ({ values: row.typeIds, pad: 0 })],
]);

/**
 * Binds a task to a loaded graph. Throws a `ModelFileError` when the graph's inputs or outputs do not fit the task.
 * Usable from one thread; holds no memory per row.
 */
export function bindTextModel(task: Task, text: TextManifest, tokenizer: TextTokenizer, signature: ModelSignature): TextModel {
  const length = checkInputs(signature.inputs);
  return new BoundTextModel(text, tokenizer, signature.inputs, bindHead(task, text, tokenizer, signature), length);
}

function bindHead(task: Task, text: TextManifest, tokenizer: TextTokenizer, signature: ModelSignature): TaskHead {
  switch (task) {
    case 'embedding':
      return embeddingHead(signature, text);
    case 'sequence-classification':
      return classificationHead(signature, text);
    case 'text-pair-scoring':
      return scoringHead(signature, text);
    case 'token-classification':
      return tokenClassificationHead(signature, text, (id) => tokenizer.tokenOf(id));
    case 'tensor':
      throw new ModelFileError('task "tensor" takes no text');
  }
}

/** Returns the length that the graph fixes, or null when it takes any. */
function checkInputs(inputs: TensorSpec[]): number | null {
  const fits = ({ name, datatype, shape }: TensorSpec): boolean =>
    INPUTS.has(name) && shape.length === 2 && (datatype === 'INT64' || datatype === 'INT32');
  if (!inputs.every(fits) || !inputs.some(({ name }) => name === 'input_ids')) {
    throw new ModelFileError(
      `a text task needs the inputs ${[...INPUTS.keys()].join(', ')} (all but the first optional), INT64 or INT32 [batch, sequence], but the graph has ${describeSpecs(inputs)}`,
    );
  }
  const length = inputs[0]?.shape[1] ?? -1;
  return length > 0 ? length : null;
}

class BoundTextModel implements TextModel {
  readonly maxTokens: number;
  readonly embeddingWidth: number | null;

  constructor(
    private readonly text: TextManifest,
    private readonly tokenizer: TextTokenizer,
    private readonly inputs: TensorSpec[],
    private readonly head: TaskHead,
    private readonly fixedLength: number | null,
  ) {
    this.maxTokens = Math.min(text.maxTokens, fixedLength ?? Infinity);
    this.embeddingWidth = head.embeddingWidth;
  }

  async encode(inputs: TextInput[], options: EncodeOptions): Promise<TextRow[]> {
    const texts = inputs.map((input, i) => this.checkText(input, i, options));
    const rows: TextRow[] = [];
    while (rows.length < texts.length) {
      const turn = texts.slice(rows.length, endOfTurn(texts, rows.length));
      const tokenized = await this.tokenizer.encode(turn, { spans: this.head.needsSpans });
      const first = rows.length;
      const fitting = await Promise.all(tokenized.map((row, i) => this.fit(row, turn[i] as TextAndPair, first + i, options)));
      rows.push(...fitting.map((row) => this.toRow(row, options)));
    }
    return rows;
  }

  encodeIds(ids: number[][], options: EncodeOptions): TextRow[] {
    return ids.map((row, i) => {
      const kept = options.truncate ? row.slice(0, this.maxTokens) : row;
      if (kept.length === 0) throw refused(i, 'expected at least one token id but received none');
      if (kept.length > this.maxTokens) throw tooLong(i, kept.length, this.maxTokens);
      const bad = kept.findIndex((id) => !this.tokenizer.knows(id));
      if (bad >= 0) {
        const expected = `expected a token id from 0 to ${this.tokenizer.vocabularySize - 1} but received ${String(JSON.stringify(kept[bad])).slice(0, SHOWN_CHARACTERS_MAX)}`;
        throw new InterleaveError('invalid_request', expected, { param: `[${i}][${bad}]` });
      }
      return this.toRow({ ids: kept, typeIds: new Array<number>(kept.length).fill(0), spans: null }, options);
    });
  }

  private checkText(input: TextInput, index: number, options: EncodeOptions): TextAndPair {
    const { text, text_pair: pair = null } = typeof input === 'string' ? { text: input } : input;
    const charactersMax = this.maxTokens * CHARACTERS_PER_TOKEN_MAX;
    const characters = Math.max(text.length, pair?.length ?? 0);
    if (characters <= charactersMax) return { text, pair };
    if (options.truncate) return { text: text.slice(0, charactersMax), pair: pair?.slice(0, charactersMax) ?? null };
    throw refused(index, `expected at most ${this.maxTokens} tokens, so at most ${charactersMax} characters, but received ${characters} characters; shorten the input`);
  }

  private async fit(row: TokenizedText, text: TextAndPair, index: number, options: EncodeOptions): Promise<TokenizedText> {
    if (row.ids.length === 0) throw refused(index, 'expected a text with at least one token but received none');
    if (row.ids.length <= this.maxTokens) return row;
    if (!options.truncate) throw tooLong(index, row.ids.length, this.maxTokens);
    return this.tokenizer.encodeTruncated(text, this.maxTokens, { spans: this.head.needsSpans });
  }

  private toRow(tokens: TokenizedText, options: EncodeOptions): TextRow {
    const tokenCount = tokens.ids.length;
    const context: RowContext = { tokenCount, ids: tokens.ids, spans: tokens.spans, topK: options.topK };
    const inputs = this.inputs.map((spec) => this.toTensor(spec, tokens));
    return {
      item: { inputs, outputs: [this.head.output] },
      tokenCount,
      decode: (result: ItemResult) => this.head.decode(result, context),
      decodeVector: (result: ItemResult) => this.head.decodeVector(result, context),
    };
  }

  private toTensor(spec: TensorSpec, tokens: TokenizedText): Tensor {
    const fill = INPUTS.get(spec.name);
    if (fill === undefined) throw new InterleaveError('internal', `the input "${spec.name}" was not checked`);
    const { values, pad } = fill(tokens, this.text.padTokenId);
    const length = this.fixedLength ?? values.length;
    const padded = length > values.length ? [...values, ...new Array<number>(length - values.length).fill(pad)] : values;
    return { name: spec.name, datatype: spec.datatype, shape: [1, length], data: toBytes(padded, spec.datatype === 'INT64') };
  }
}

/** Where a turn ends that begins at `start`: after one text at least. */
function endOfTurn(texts: TextAndPair[], start: number): number {
  const last = Math.min(start + TEXTS_PER_TURN, texts.length);
  let end = start;
  for (let characters = 0; end < last && characters < CHARACTERS_PER_TURN; end++) characters += (texts[end]?.text.length ?? 0) + (texts[end]?.pair?.length ?? 0);
  return end;
}

/** Little-endian int32 or int64; token ids and flags are never negative and fit 31 bits. */
function toBytes(values: number[], wide: boolean): Uint8Array {
  const words = new Int32Array(wide ? values.length * 2 : values.length);
  const stride = wide ? 2 : 1;
  for (let i = 0; i < values.length; i++) words[i * stride] = values[i] as number;
  return new Uint8Array(words.buffer);
}

function refused(index: number, message: string): InterleaveError {
  return new InterleaveError('invalid_request', message, { param: `[${index}]` });
}

function tooLong(index: number, received: number, tokensMax: number): InterleaveError {
  return refused(index, `expected at most ${tokensMax} tokens but received ${received}; shorten the input`);
}
