import {
  InterleaveError,
  type InferenceItem,
  type ItemResult,
  type ModelSignature,
  type Task,
  type Tensor,
  type TensorSpec,
} from '@app/contracts';
import { classificationHead, scoringHead, tokenClassificationHead } from './heads/classification';
import { embeddingHead } from './heads/embedding';
import { headStepOf } from './heads/head-step';
import { multiVectorHead } from './heads/multi-vector';
import { sparseHead } from './heads/sparse';
import { checkPlaces, describeSpecs, type RowContext, type TaskHead } from './heads/head';
import { checkTexts, cutText, refused, textsOf } from './input-texts';
import type { PositionRule, TextManifest } from './manifest';
import { ModelFileError } from './model-files';
import { RowTensors, type TokenNumbers } from './row-tensors';
import type { CutText, TextAndPair, TextTokenizer, TokenizedText } from './tokenizer';
import type { TruncationSide } from './tokenizer-config';
import type { DimensionsRule, EncodeOptions, Prediction, ScoredClass, TextInput, TextModel, TextRow, TokenizeOptions } from './types';

/** Longer texts are refused, or lose their end, before they are tokenized: tokenizing them would cost seconds. */
const CHARACTERS_PER_TOKEN_MAX = 256;
/**
 * Of a text that is tokenized whole, where that is more. One that loses its start is: behind a start that is missing, words may become
 * other tokens, as digits in groups of three are counted from the first one on.
 */
const WHOLE_CHARACTERS_MAX = 256 * 1024;
const SHORTEN_OR_CUT = 'shorten the input, or have it cut by "parameters": {"truncate": true}';

const SHOWN_CHARACTERS_MAX = 64;
/** Taking over the tokens of a text costs the event loop some 25 µs: this many at a time keep its pauses near 2 ms. */
const TEXTS_PER_TURN = 64;
/** The same for long texts. */
const CHARACTERS_PER_TURN = 4 * 1024;

/**
 * How each known input of a text model is filled, with a number for each token or one for all; a row that is padded here is padded with
 * these.
 */
const INPUTS = new Map<string, (row: TokenizedText, text: TextManifest) => TokenNumbers>([
  ['input_ids', (row, text) => ({ values: row.ids, pad: text.padTokenId })],
  ['attention_mask', () => ({ values: 1, pad: 0 })],
  ['token_type_ids', (row) => ({ values: row.typeIds, pad: 0 })],
  ['position_ids', (row, text) => ({ values: positionsOf(row.ids, text.positions), pad: 0 })],
]);

function positionsOf(ids: number[], rule: PositionRule | null): number[] {
  if (rule === null) throw new InterleaveError('internal', 'position_ids were not checked');
  if (rule.kind === 'counted') return ids.map((_, i) => rule.start + i);
  let position = rule.padTokenId;
  return ids.map((id) => (id === rule.padTokenId ? rule.padTokenId : ++position));
}

/**
 * Binds a task to a loaded graph. Throws a `ModelFileError` when the graph's inputs or outputs do not fit the task.
 * Usable from one thread; holds no memory per row.
 */
export function bindTextModel(task: Task, text: TextManifest, tokenizer: TextTokenizer, signature: ModelSignature): TextModel {
  const length = checkInputs(signature.inputs, text);
  const head = bindHead(task, text, tokenizer, signature);
  checkPlaces(signature, head.output, length);
  return new BoundTextModel(text, tokenizer, signature.inputs, head, length, headStepOf(task, { head, text, signature }));
}

function bindHead(task: Task, text: TextManifest, tokenizer: TextTokenizer, signature: ModelSignature): TaskHead {
  switch (task) {
    case 'embedding':
      return embeddingHead(signature, text);
    case 'sparse':
      return sparseHead(signature, text);
    case 'multi-vector':
      return multiVectorHead(signature, text);
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
function checkInputs(inputs: TensorSpec[], text: TextManifest): number | null {
  if (text.positions === null && inputs.some(({ name }) => name === 'position_ids')) {
    throw new ModelFileError(
      'the graph takes position_ids, and config.json does not tell where they start for its model_type; set positionStart in model.yaml (0 for most models)',
    );
  }
  const fits = ({ name, datatype, shape }: TensorSpec): boolean =>
    INPUTS.has(name) && shape.length === 2 && (datatype === 'INT64' || datatype === 'INT32');
  if (!inputs.every(fits) || !inputs.some(({ name }) => name === 'input_ids')) {
    throw new ModelFileError(
      `a text task needs the inputs ${[...INPUTS.keys()].join(', ')} (all but the first optional), INT64 or INT32 [batch, sequence], but the graph has ${describeSpecs(inputs)}`,
    );
  }
  const rows = inputs.find(({ shape }) => (shape[0] ?? -1) > 1)?.shape[0];
  if (rows !== undefined)
    throw new ModelFileError(
      `a text task runs any number of rows, or one, but the graph takes ${rows} at once; export it with a batch axis of any size, or set "task: tensor" in model.yaml`,
    );
  const length = inputs[0]?.shape[1] ?? -1;
  return length > 0 ? length : null;
}

class BoundTextModel implements TextModel {
  readonly maxTokens: number;
  readonly embeddingWidth: number | null;
  readonly promptNames: readonly string[];
  readonly dimensions: DimensionsRule;
  /** By prompt; the model's files name them all. */
  private readonly promptLengths = new Map<string, number>();
  private readonly inputs: readonly RowInput[];
  private readonly outputs: string[];

  constructor(
    private readonly text: TextManifest,
    private readonly tokenizer: TextTokenizer,
    inputs: TensorSpec[],
    private readonly head: TaskHead,
    private readonly fixedLength: number | null,
    readonly headStep: TextModel['headStep'],
  ) {
    this.maxTokens = Math.min(text.maxTokens, fixedLength ?? Infinity);
    this.embeddingWidth = head.embeddingWidth;
    this.promptNames = [...text.prompts.byName.keys()];
    this.dimensions = text.dimensions;
    this.inputs = inputs.map((spec) => ({ spec, tensors: new RowTensors(spec, fixedLength) }));
    this.outputs = [head.output];
  }

  async encode(inputs: TextInput[], options: EncodeOptions): Promise<TextRow[]> {
    const prompt = this.promptOf(options);
    if (options.truncationSide === 'left' && prompt !== '' && this.tokenizer.sideOf(this.text.truncationSide) === 'right') {
      throw new InterleaveError(
        'invalid_request',
        `expected no prompt where texts lose their start, as it goes before them, but the prompt is ${JSON.stringify(prompt.slice(0, SHOWN_CHARACTERS_MAX))}; truncate at the end, or name a prompt that is empty`,
        { param: 'truncate' },
      );
    }
    const promptTokens = await this.promptTokensOf(prompt);
    const texts = inputs.map((input, i) => this.checkText(input, prompt, i, options));
    const rows: TextRow[] = [];
    while (rows.length < texts.length) {
      const turn = texts.slice(rows.length, endOfTurn(texts, rows.length));
      const tokenized = await this.tokenizer.encode(turn, { spans: this.head.needsSpans });
      const first = rows.length;
      const fitting = tokenized.every((row, i) => this.fits(row, turn[i] as CutText, options))
        ? tokenized
        : await allInOrder(tokenized.map((row, i) => this.fit(row, turn[i] as CutText, first + i, options)));
      rows.push(...fitting.map((row) => this.toRow(row, options, promptTokens)));
    }
    return rows;
  }

  get defaultPrompt(): string {
    const { byName, defaultName } = this.text.prompts;
    return (defaultName === null ? null : byName.get(defaultName)) ?? '';
  }

  answerRow(result: ItemResult, tokenCount: number | null): Float32Array {
    const length = result.outputs.find(({ name }) => name === this.head.output)?.shape[1] ?? 0;
    const row: RowContext = {
      tokenCount: tokenCount ?? length,
      rowLength: length,
      spans: null,
      ids: [],
      topK: null,
      rawScores: false,
      promptTokens: 0,
    };
    if (this.headStep?.output.name === 'embedding') return this.head.decodeVector(result, row);
    return Float32Array.from(this.head.decodeScores(result, row), ({ score }) => score);
  }

  encodeIds(ids: number[][], options: EncodeOptions): TextRow[] {
    if (options.promptName !== null)
      throw new InterleaveError(
        'invalid_request',
        'expected texts with prompt_name but received token ids; put the ids of the prompt before them',
        { param: 'prompt_name' },
      );
    return ids.map((row, i) => {
      if (row.length === 0) throw refused(i, 'expected at least one token id but received none');
      this.checkOwner(row, i);
      const kept = options.truncate
        ? this.tokenizer.frame.truncate(row, this.tokensMaxOf(options), this.tokenizer.sideOf(this.sideOf(options)))
        : row;
      if (kept.length > this.maxTokens) throw tooLong(i, kept.length, this.maxTokens);
      this.checkIds(kept, i);
      return this.toRow({ ids: kept, typeIds: new Array<number>(kept.length).fill(0), spans: null }, options, 0);
    });
  }

  async tokenize(inputs: TextInput[], options: TokenizeOptions): Promise<TokenizedText[]> {
    const prompt = this.promptOf(options);
    const texts = inputs.map((input, i) => this.checkWhole(textsOf(input), prompt, i));
    const rows: TokenizedText[] = [];
    while (rows.length < texts.length)
      rows.push(...(await this.tokenizer.encode(texts.slice(rows.length, endOfTurn(texts, rows.length)), options)));
    return rows;
  }

  async detokenize(ids: number[][], { skipSpecialTokens }: { skipSpecialTokens: boolean }): Promise<string[]> {
    ids.forEach((row, i) => this.checkIds(row, i));
    return this.tokenizer.decode(ids, skipSpecialTokens);
  }

  private checkIds(ids: readonly unknown[], index: number): void {
    const bad = ids.findIndex((id) => !this.tokenizer.knows(id));
    if (bad < 0) return;
    const expected = `expected a token id from 0 to ${this.tokenizer.vocabularySize - 1} but received ${String(JSON.stringify(ids[bad])).slice(0, SHOWN_CHARACTERS_MAX)}`;
    throw new InterleaveError('invalid_request', expected, { param: `[${index}][${bad}]` });
  }

  /** Where tokens are taken away; null: where the `tokenizer.json` says. */
  private sideOf({ truncationSide }: Pick<EncodeOptions, 'truncationSide'>): TruncationSide | null {
    return truncationSide ?? this.text.truncationSide;
  }

  /** Empty when none goes before the texts. */
  private promptOf({ promptName }: Pick<EncodeOptions, 'promptName'>): string {
    const { byName, defaultName } = this.text.prompts;
    const name = promptName ?? defaultName;
    const prompt = name === null ? '' : byName.get(name);
    if (prompt !== undefined) return prompt;
    const known =
      byName.size === 0
        ? 'no prompt_name, as the model has no prompts,'
        : `${[...byName.keys()].map((key) => JSON.stringify(key)).join(' or ')} for prompt_name`;
    throw new InterleaveError('invalid_request', `expected ${known} but received ${JSON.stringify(name?.slice(0, SHOWN_CHARACTERS_MAX))}`, {
      param: 'prompt_name',
    });
  }

  /** Tokens of the prompt on its own, without one at its end that is special anywhere, as sentence-transformers counts them. */
  private async promptTokensOf(prompt: string): Promise<number> {
    if (prompt === '' || this.text.sentence.includePrompt) return 0;
    const known = this.promptLengths.get(prompt);
    if (known !== undefined) return known;
    const [tokens] = await this.tokenizer.encode([{ text: prompt, pair: null }], { spans: true });
    const last = tokens?.ids.at(-1);
    const isSpecial = last !== undefined && (this.tokenizer.isSpecial(last) || tokens?.spans?.at(-1)?.special === true);
    const length = (tokens?.ids.length ?? 0) - (isSpecial ? 1 : 0);
    this.promptLengths.set(prompt, length);
    return length;
  }

  /** OpenAI's clients may send ids of OpenAI's tokenizers: in another vocabulary they stand for another text. */
  private checkOwner(row: readonly unknown[], index: number): void {
    const { frame } = this.tokenizer;
    if (this.text.tokenIds || (frame.isUnmistakable && frame.surrounds(row))) return;
    const framed = frame.isUnmistakable
      ? `, ids that begin with ${frame.before.join(', ')} and end with ${frame.after.join(', ') || 'any'} as this model's tokenizer gives them`
      : '';
    throw refused(
      index,
      `expected text${framed} but received token ids that may be of another tokenizer, such as OpenAI's; send the text (LangChain: check_embedding_ctx_length=False), or set "tokenIds: true" in the model.yaml of a model whose callers all use its own tokenizer`,
    );
  }

  private checkText(input: TextInput, prompt: string, index: number, options: Pick<EncodeOptions, 'truncate' | 'truncationSide'>): CutText {
    const texts = textsOf(input);
    const charactersMax = this.maxTokens * CHARACTERS_PER_TOKEN_MAX;
    const [text, pair] = [prompt + texts.text, texts.pair];
    const isCut = [text.length > charactersMax, (pair?.length ?? 0) > charactersMax] as const;
    const losesStart = options.truncate && this.tokenizer.sideOf(this.sideOf(options)) === 'left';
    if (losesStart || !isCut.includes(true)) return this.checkWhole(texts, prompt, index);
    checkTexts(texts, index);
    if (options.truncate) return { text: cutText(text, charactersMax), pair: pair === null ? null : cutText(pair, charactersMax), isCut };
    const characters = Math.max(text.length, pair?.length ?? 0);
    throw refused(
      index,
      `expected at most ${this.maxTokens} tokens, so at most ${charactersMax} characters, but received ${characters} characters; ${SHORTEN_OR_CUT}`,
    );
  }

  /** All of it will be tokenized. */
  private checkWhole(texts: TextAndPair, prompt: string, index: number): TextAndPair {
    checkTexts(texts, index);
    const charactersMax = Math.max(this.maxTokens * CHARACTERS_PER_TOKEN_MAX, WHOLE_CHARACTERS_MAX);
    const characters = Math.max(texts.text.length, texts.pair?.length ?? 0);
    if (characters <= charactersMax) return { text: prompt + texts.text, pair: texts.pair };
    throw refused(
      index,
      `expected at most ${charactersMax} characters of a text that is tokenized as a whole but received ${characters}; send no more, the last ones where its start would be cut off`,
    );
  }

  /** It is as it will be run. */
  private fits({ ids }: TokenizedText, { isCut }: CutText, options: EncodeOptions): boolean {
    return ids.length > 0 && ids.length <= Math.min(this.tokensMaxOf(options), options.pairTokensMax ?? Infinity) && isCut === undefined;
  }

  private async fit(row: TokenizedText, text: CutText, index: number, options: EncodeOptions): Promise<TokenizedText> {
    if (this.fits(row, text, options)) return row;
    const tokensMax = this.tokensMaxOf(options);
    const { pairTokensMax = Infinity } = options;
    if (row.ids.length === 0 && text.isCut === undefined) throw refused(index, 'expected a text with at least one token but received none');
    if (!options.truncate && pairTokensMax === Infinity) throw tooLong(index, row.ids.length, this.maxTokens);
    const cut = { spans: this.head.needsSpans, side: this.sideOf(options), pairTokensMax };
    const truncated = await this.tokenizer.encodeTruncated(text, options.truncate ? tokensMax : Infinity, cut);
    if (truncated === null) {
      const charactersMax = this.maxTokens * CHARACTERS_PER_TOKEN_MAX;
      throw refused(
        index,
        `expected a text whose ${tokensMax} tokens that are kept lie in ${charactersMax} characters but received a longer one; shorten the input`,
      );
    }
    if (truncated.ids.length > tokensMax) {
      if (!options.truncate) throw tooLong(index, truncated.ids.length, this.maxTokens);
      const [limit, raised] =
        tokensMax < this.maxTokens ? ['the text is cut to', 'the number of tokens'] : ['the model takes', 'its maxTokens'];
      throw refused(index, `expected room for ${truncated.ids.length} special tokens but ${limit} ${tokensMax} tokens; raise ${raised}`);
    }
    return truncated;
  }

  private tokensMaxOf({ tokensMax = Infinity }: EncodeOptions): number {
    return Math.min(this.maxTokens, tokensMax);
  }

  private toRow(tokens: TokenizedText, options: EncodeOptions, promptTokens: number): TextRow {
    const context: RowContext = {
      tokenCount: tokens.ids.length,
      rowLength: this.fixedLength ?? tokens.ids.length,
      ids: tokens.ids,
      spans: tokens.spans,
      topK: options.topK,
      rawScores: options.rawScores ?? false,
      promptTokens,
    };
    const inputs = this.inputs.map((input) => this.toTensor(input, tokens));
    return new BoundTextRow({ inputs, outputs: this.outputs }, this.head, context);
  }

  private toTensor({ spec, tensors }: RowInput, tokens: TokenizedText): Tensor {
    const fill = INPUTS.get(spec.name);
    if (fill === undefined) throw new InterleaveError('internal', `the input "${spec.name}" was not checked`);
    return tensors.of(fill(tokens, this.text), tokens.ids.length);
  }
}

interface RowInput {
  spec: TensorSpec;
  tensors: RowTensors;
}

class BoundTextRow implements TextRow {
  constructor(
    readonly item: InferenceItem,
    private readonly head: TaskHead,
    private readonly context: RowContext,
  ) {}

  get tokenCount(): number {
    return this.context.tokenCount;
  }

  decode(result: ItemResult): Prediction {
    return this.head.decode(result, this.context);
  }

  decodeVector(result: ItemResult): Float32Array {
    return this.head.decodeVector(result, this.context);
  }

  decodeScores(result: ItemResult): ScoredClass[] {
    return this.head.decodeScores(result, this.context);
  }
}

/** As `Promise.all`, but rejects with the first refusal in the order of the inputs, not of time: a caller is told the same each time. */
async function allInOrder<T>(promises: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  const values: T[] = [];
  for (const promise of promises) values.push(await promise);
  return values;
}

/** Where a turn ends that begins at `start`: after one text at least. */
function endOfTurn(texts: CutText[], start: number): number {
  const last = Math.min(start + TEXTS_PER_TURN, texts.length);
  let end = start;
  for (let characters = 0; end < last && characters < CHARACTERS_PER_TURN; end++)
    characters += (texts[end]?.text.length ?? 0) + (texts[end]?.pair?.length ?? 0);
  return end;
}

function tooLong(index: number, received: number, tokensMax: number): InterleaveError {
  return refused(index, `expected at most ${tokensMax} tokens but received ${received}; ${SHORTEN_OR_CUT}`);
}
