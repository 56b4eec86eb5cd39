import { setMaxListeners } from 'node:events';
import { InterleaveError, type BatchCode } from '@app/contracts';
import {
  readRows,
  type Chunk,
  type ChunkResult,
  type ChunkResults,
  type ChunkResultWriter,
  type ModelPin,
  type ObjectStore,
  type RowLine,
} from '@app/batches';
import { checkBatchLine, checkJsonBounds, type JsonLimits, parseJsonBody, withText, type AnswerParts, type Endpoint } from '@app/protocols';
import type { TextAnswer } from './blocks/answer-texts';
import { eachUnit, type BlockRow, type RowBlock, type Unit } from './blocks/row-blocks';
import type { RowForms } from './blocks/row-forms';
import { PinGone } from './model-pins';
import type { InFlightBudget, RowShare } from './in-flight-budget';
import type { BlockRun, RowEngine, RowRequest } from './row-engine';
import { answerPatiently } from './row-retries';
import { LineBlock } from '../output/line-block';
import type { NotRunReason, RowLines, RowName } from '../output/row-lines';

/**
 * Why a chunk is stopped. `batch_cancelled`, `batch_expired`: what is answered is kept, rows that were running are said not to have run,
 * the chunk commits. Of rows that were not started, those of a batch that expired are said not to have run; of one that is cancelled they
 * have no line, because that is to be quick. `put_back`: nothing is kept, the chunk is done again later.
 */
export type StopReason = NotRunReason | 'put_back';

/** Thrown by `ChunkProcessor.process` for a chunk that was put back. */
export class ChunkPutBack extends Error {
  override readonly name = 'ChunkPutBack';
}

export interface ChunkTask {
  chunk: Chunk;
  /** Of the rows in the store. */
  contentKey: string;
  results: ChunkResults;
  endpoint: Endpoint;
  /** The path that `endpoint` came from, which every line names. */
  url: string;
  /** Each input runs without neighbours. */
  runAlone: boolean;
  /** As in `RowRequest`. */
  pin: ModelPin | null;
  packsVectors: boolean;
  /** Asked for each row: it may change. */
  share: () => RowShare;
  lines: RowLines;
  /** Rows of a form are answered in blocks. */
  forms: RowForms;
  size: AnswerSize;
  /** Told why a row has to wait, each time it is refused. */
  onRefused: (reason: string) => void;
  /** Told once what counts the rows that have a line. */
  onBegun: (written: { readonly rowCount: number }) => void;
  /** Does a part of the work, as a span where the batch is traced. */
  part: <T>(name: 'rows' | 'commit', work: () => Promise<T>) => Promise<T>;
}

/** Learns how long the answers of a batch are, to bound the memory of those that wait for their turn to be written. */
export class AnswerSize {
  /** Before the first answer is known: high, so that few rows start. */
  private bytes = 2 * 1024 * 1024;
  private isMeasured = false;

  get expectedBytes(): number {
    return this.bytes;
  }

  observe(bytes: number): void {
    this.bytes = this.isMeasured ? Math.max(bytes, this.bytes * 0.99) : bytes;
    this.isMeasured = true;
  }
}

/** Bytes of heap for each part of a parsed row, measured with V8; its text is there as bytes and, of two bytes a character, as a string. */
const COSTS = { textByte: 3, value: 36, string: 42, key: 200 };
/** The same for a row of a block, with its tokens. */
const BLOCK_ROW_COST = 1024;

type Answer = { kind: 'output'; line: string } | { kind: 'error'; line: string; code: BatchCode } | { kind: 'lines'; lines: LineBlock };

/** Runs the rows of chunks and writes their results in input order; many chunks at once. */
export class ChunkProcessor {
  constructor(
    private readonly store: ObjectStore,
    private readonly engine: RowEngine,
    private readonly budget: InFlightBudget,
    private readonly rowLimits: JsonLimits,
  ) {}

  /**
   * When it resolves, the chunk is committed, by this call or, with `isFirst` false, by another node that did it too. Rejects with
   * `ChunkPutBack` after an abort for that reason, with `storage_full`, or with what went wrong; nothing is committed then. Abort with
   * a `StopReason` as the reason.
   */
  async process(task: ChunkTask, stop: AbortController): Promise<{ result: ChunkResult; isFirst: boolean }> {
    setMaxListeners(0, stop.signal);
    const writer = await task.results.begin(task.chunk.index);
    task.onBegun(writer);
    try {
      await task.part('rows', () => this.runRows(task, writer, stop));
      if (isPutBack(stop.signal)) throw new ChunkPutBack(`chunk ${task.chunk.index} was put back`);
      return await task.part('commit', () => writer.commit());
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }

  /** Rows are started in order as the budget allows, answered in any order, and written in order. */
  private async runRows(task: ChunkTask, writer: ChunkResultWriter, stop: AbortController): Promise<void> {
    const held = new Set<Hold>();
    let written: Promise<void> = Promise.resolve();
    let rowCount = 0;
    try {
      const forms = this.engine.answerTexts === undefined ? null : task.forms;
      for await (const unit of eachUnit(this.store, { ...task, forms, rowsMax: this.budget.rowsMax })) {
        rowCount += unit.block?.rows.length ?? 1;
        const hold = await this.hold(unit, task, stop.signal);
        if (hold !== null) held.add(hold);
        if (isPutBack(stop.signal) || isCancelled(stop.signal)) break;
        const answers =
          unit.block === null
            ? this.answer(unit.row, task, stop.signal).then((one) => [one])
            : this.answerBlock(unit.block, task, stop.signal, (count) => this.noteAnswered(hold, count));
        const mark = () => this.noteAnswered(hold, Infinity);
        void answers.then(mark, mark);
        written = written.then(() => this.write(answers, writer, task)).then(() => this.free(hold, held));
        // A row that cannot be written ends the chunk: what is in flight is of no use.
        written.catch(() => stop.abort('put_back' satisfies StopReason));
      }
      await written;
      if (!isPutBack(stop.signal) && !isCancelled(stop.signal) && rowCount !== task.chunk.rowCount)
        throw fileChanged(task, `${task.chunk.rowCount} rows`, `${rowCount}`);
    } finally {
      await written.catch(() => undefined);
      for (const hold of held) this.free(hold, held);
    }
  }

  private async hold({ row, block }: Unit, task: ChunkTask, signal: AbortSignal): Promise<Hold | null> {
    const rows = block?.rows.length ?? 1;
    const ownBytes = block === null ? this.parsedBytes(row) : block.lineBytes * COSTS.textByte + rows * BLOCK_ROW_COST;
    const bytes = await this.budget.acquire(ownBytes + rows * task.size.expectedBytes, signal, rows, task.share());
    return bytes === null ? null : { bytes, unansweredRows: rows };
  }

  /** What a row costs once it is parsed; one that is not parsed, because it is too complex, costs its text. */
  private parsedBytes({ bytes }: RowLine): number {
    const textBytes = bytes.length * COSTS.textByte;
    try {
      const { values, strings, keys } = checkJsonBounds(bytes, this.rowLimits);
      return textBytes + values * COSTS.value + strings * COSTS.string + keys * COSTS.key;
    } catch {
      return textBytes;
    }
  }

  /**
   * The places of rows are free as soon as they are answered. Runs take rows of like length from all blocks, so blocks end together: if
   * theirs were free only then, the workers would wait while the next ones are prepared.
   */
  private noteAnswered(hold: Hold | null, rows: number): void {
    if (hold === null) return;
    const count = Math.min(rows, hold.unansweredRows);
    hold.unansweredRows -= count;
    if (count > 0) this.budget.answered(count);
  }

  private free(hold: Hold | null, held: Set<Hold>): void {
    if (hold === null || !held.delete(hold)) return;
    this.noteAnswered(hold, Infinity);
    this.budget.release(hold.bytes);
  }

  private async write(answers: Promise<Answer[]>, writer: ChunkResultWriter, task: ChunkTask): Promise<void> {
    for (const answer of await answers) {
      if (answer.kind === 'error') writer.addError(answer.line, answer.code);
      else if (answer.kind === 'lines') {
        task.size.observe(answer.lines.longestBytes);
        await writer.addOutputLines(answer.lines.bytes(), answer.lines.lineCount);
        answer.lines.release();
      } else {
        task.size.observe(answer.line.length);
        await writer.addOutput(answer.line);
      }
    }
  }

  /** Reads `row.bytes` before its first `await`: they are gone afterwards. Rejects for a row that cannot have been validated. */
  private async answer(row: RowLine, task: ChunkTask, signal: AbortSignal): Promise<Answer> {
    const { customId, body, refusal } = parseLine(row, task, this.rowLimits);
    return this.answerBody({ id: task.lines.idOf(row), customId }, refusal ?? { body }, task, signal);
  }

  private async answerBody(
    name: RowName,
    content: { body: unknown } | InterleaveError,
    task: ChunkTask,
    signal: AbortSignal,
  ): Promise<Answer> {
    if (signal.aborted) return notRun(name, task, signal);
    try {
      if (content instanceof InterleaveError) throw content;
      const request = { ...requestOf(task), body: content.body };
      const answer = await answerPatiently(this.engine, request, { signal, onRefused: task.onRefused });
      return { kind: 'output', line: task.lines.success(name, answer) };
    } catch (error) {
      if (error instanceof PinGone) throw error;
      return signal.aborted ? notRun(name, task, signal) : failed(name, task, asInterleaveError(error));
    }
  }

  /**
   * All rows of the block at once; those that take more than that, each by itself. Output lines come in the order of the rows, and so
   * do errors.
   */
  private async answerBlock(block: RowBlock, task: ChunkTask, signal: AbortSignal, onAnswered: BlockRun['onAnswered']): Promise<Answer[]> {
    const found = await this.answerTexts(block, task, signal, onAnswered);
    const own = block.rows.map((row, i) => this.ownAnswer(found?.[i] ?? null, row, block, task, signal));
    await Promise.allSettled(own.filter((answer) => answer instanceof Promise));
    const answers: Answer[] = [];
    let lines = new LineBlock(block.rows.length);
    for (const [i, { name }] of block.rows.entries()) {
      const ready = own[i] as AnswerParts | Answer | Promise<Answer>;
      const answer = ready instanceof Promise ? await ready : ready;
      if ('before' in answer) lines.add(task.lines.around(name), answer);
      else {
        if (answer.kind === 'output' && lines.lineCount > 0) {
          answers.push({ kind: 'lines', lines });
          lines = new LineBlock(block.rows.length - i);
        }
        answers.push(answer);
      }
    }
    if (lines.lineCount > 0) answers.push({ kind: 'lines', lines });
    return answers;
  }

  /** Null: they were refused together, and each row finds out by itself whether it has to wait. */
  private async answerTexts(
    { form, rows }: RowBlock,
    task: ChunkTask,
    signal: AbortSignal,
    onAnswered: BlockRun['onAnswered'],
  ): Promise<TextAnswer[] | null> {
    if (signal.aborted) return null;
    const request = { ...requestOf(task), body: form.template.body };
    const texts = rows.map(({ text }) => text);
    return (await this.engine.answerTexts?.(request, texts, { known: form.known, signal, onAnswered }).catch(() => null)) ?? null;
  }

  private ownAnswer(
    found: TextAnswer,
    { name, text }: BlockRow,
    block: RowBlock,
    task: ChunkTask,
    signal: AbortSignal,
  ): AnswerParts | Answer | Promise<Answer> {
    if (found === null) return this.answerBody(name, { body: withText(task.endpoint.kind, block.form.template.body, text) }, task, signal);
    if (!(found instanceof InterleaveError)) return found;
    return signal.aborted ? notRun(name, task, signal) : failed(name, task, found);
  }
}

const requestOf = ({ endpoint, runAlone, pin, packsVectors }: ChunkTask): Omit<RowRequest, 'body'> => ({
  endpoint,
  runAlone,
  pin,
  packsVectors,
});

/** As strict as the live endpoints: what `JSON.parse` would silently change fails the row. */
function parseLine(
  row: RowLine,
  task: ChunkTask,
  limits: JsonLimits,
): { customId: string; body: unknown; refusal: InterleaveError | null } {
  const { bytes } = row;
  try {
    const line = checkBatchLine(parseJsonBody(bytes, limits), task.url);
    const refusal = hasLoneSurrogate(bytes, line.body)
      ? new InterleaveError(
          'invalid_request',
          'body: expected whole characters but received half of a surrogate pair (\\ud800 to \\udfff)',
          { param: 'body' },
        )
      : null;
    return { ...line, refusal };
  } catch (error) {
    return { customId: readCustomId(row, task), body: null, refusal: asInterleaveError(error) };
  }
}

/** UTF-8 has none, so one can only come from an escape; `stringify` escapes nothing else in that range. */
function hasLoneSurrogate(bytes: Buffer, body: unknown): boolean {
  if (!bytes.includes('\\ud') && !bytes.includes('\\uD')) return false;
  return /(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(JSON.stringify(body, (_, part: unknown) => (typeof part === 'bigint' ? 0 : part)));
}

interface Hold {
  bytes: number;
  /** In the budget. */
  unansweredRows: number;
}

/** Commits the result of a chunk whose rows were never started, unless it has one. */
export async function commitNotRun(
  store: ObjectStore,
  task: Pick<ChunkTask, 'chunk' | 'contentKey' | 'results' | 'lines'>,
  reason: NotRunReason,
): Promise<ChunkResult> {
  const { chunk, contentKey, results, lines } = task;
  const writer = await results.begin(chunk.index);
  try {
    for await (const rows of readRows(store, contentKey, chunk)) {
      for (const row of rows) writer.addError(lines.notRun({ id: lines.idOf(row), customId: customIdOrEmpty(row, task) }, reason), reason);
    }
    return (await writer.commit()).result;
  } finally {
    await writer.discard();
  }
}

const failed = (name: RowName, task: ChunkTask, error: InterleaveError): Answer => ({
  kind: 'error',
  line: task.lines.failure(name, error),
  code: error.batchCode,
});

function notRun(name: RowName, task: ChunkTask, signal: AbortSignal): Answer {
  const reason: NotRunReason = signal.reason === 'batch_expired' ? 'batch_expired' : 'batch_cancelled';
  return { kind: 'error', line: task.lines.notRun(name, reason), code: reason };
}

/** Throws for a line that is no object with a custom_id: the file was validated, so it has been changed since. */
function readCustomId({ bytes, line }: RowLine, task: Pick<ChunkTask, 'chunk' | 'contentKey'>): string {
  try {
    return String((JSON.parse(bytes.toString('utf8')) as { custom_id: unknown }).custom_id);
  } catch {
    throw fileChanged(task, `a row in line ${line}`, 'something else');
  }
}

/** So that a batch whose file was changed can be cancelled. */
function customIdOrEmpty(row: RowLine, task: Pick<ChunkTask, 'chunk' | 'contentKey'>): string {
  try {
    return readCustomId(row, task);
  } catch {
    return '';
  }
}

function fileChanged({ chunk, contentKey }: Pick<ChunkTask, 'chunk' | 'contentKey'>, expected: string, received: string): Error {
  return new Error(
    `${contentKey}, chunk ${chunk.index}: expected ${expected} but received ${received}. The file was changed in the store after it was ` +
      'validated; cancel the batch and upload the file again',
  );
}

function isPutBack(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason === ('put_back' satisfies StopReason);
}

function isCancelled(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason === ('batch_cancelled' satisfies StopReason);
}

function asInterleaveError(error: unknown): InterleaveError {
  if (error instanceof InterleaveError) return error;
  return new InterleaveError('internal', `The row could not be processed: ${(error as Error).message}`, { cause: error });
}
