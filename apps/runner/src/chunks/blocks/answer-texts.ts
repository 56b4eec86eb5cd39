import { InterleaveError, type InferenceBackend, type ItemResult } from '@app/contracts';
import type { TextRow } from '@app/models';
import type { AnswerParts, Bulk } from '@app/protocols';
import { isPassing } from '../passing-errors';
import type { KnownAnswers } from './known-answers';

/** An answer, why the row has none, or null: the row is to be answered by itself. */
export type TextAnswer = AnswerParts | InterleaveError | null;

export interface TextRun {
  signal: AbortSignal;
  /** Each input runs without neighbours. */
  runAlone: boolean;
  known: KnownAnswers;
  /**
   * Told of so many texts more that have an answer. Not told of those with an error, nor of those equal to one of the block; told early
   * of one that runs again.
   */
  onAnswered: (count: number) => void;
  /** Told how many rows were answered by runs, and how long all that ran took together, in ns. */
  onRan: (executorNs: number, rows: number) => void;
}

/**
 * Answers texts of one form, equal ones by one run where the model allows it. In the order of `texts`. Rejects when the workers refuse
 * all.
 */
export async function answerTexts(backend: InferenceBackend, bulk: Bulk, texts: readonly string[], run: TextRun): Promise<TextAnswer[]> {
  if (!bulk.model.deduplicate) return runTexts(backend, bulk, texts, run);
  const known = run.known.of(bulk.model);
  const answers = new Map<string, TextAnswer>();
  const open: string[] = [];
  let knownCount = 0;
  for (const text of texts) {
    let answer = answers.get(text);
    if (answer === undefined) {
      answer = known.get(text);
      answers.set(text, answer);
      if (answer === null) open.push(text);
    }
    if (answer !== null) knownCount += 1;
  }
  if (knownCount > 0) run.onAnswered(knownCount);
  (await runTexts(backend, bulk, open, run)).forEach((answer, i) => {
    const text = open[i] as string;
    answers.set(text, answer);
    if (answer !== null && !(answer instanceof InterleaveError)) known.add(text, answer);
  });
  return texts.map((text) => answers.get(text) ?? null);
}

async function runTexts(backend: InferenceBackend, bulk: Bulk, texts: readonly string[], run: TextRun): Promise<TextAnswer[]> {
  const rows = await encodeEach(bulk, texts);
  const present = rows.filter((row) => row !== null);
  if (present.length === 0) return rows.map(() => null);
  const { name, version, revision, remoteFiles } = bulk.model;
  const { signal, runAlone } = run;
  let ranNs = 0;
  const results = await backend.infer({
    model: name,
    version,
    revision,
    remoteFiles,
    items: present.map(({ item }) => item),
    // A row waits as long as it takes: the deadline of a batch is its completion window.
    timeoutMs: null,
    priority: 0,
    signal,
    runAlone,
    onRan: (executorNs) => {
      ranNs += executorNs;
      run.onAnswered(1);
    },
  });
  const answered = results.filter((result) => !(result instanceof InterleaveError)).length;
  if (answered > 0) run.onRan(ranNs, answered);
  let next = 0;
  return rows.map((row) => (row === null ? null : answerOf(bulk, row, results[next++] as ItemResult | InterleaveError)));
}

/** Null for a text that is refused: by itself it gets an error that names it. */
async function encodeEach(bulk: Bulk, texts: readonly string[]): Promise<(TextRow | null)[]> {
  try {
    return await bulk.text.encode([...texts], bulk.options);
  } catch (error) {
    if (!(error instanceof InterleaveError)) throw error;
    if (texts.length === 1) return [null];
  }
  const rows: (TextRow | null)[] = [];
  for (const text of texts) rows.push(...(await encodeEach(bulk, [text])));
  return rows;
}

function answerOf(bulk: Bulk, row: TextRow, result: ItemResult | InterleaveError): TextAnswer {
  // Whether a model that failed comes back is looked up row by row.
  if (result instanceof InterleaveError) return result.code === 'model_not_servable' || isPassing(result) ? null : result;
  try {
    return bulk.answer(row, result);
  } catch (error) {
    if (error instanceof InterleaveError) return error;
    throw error;
  }
}
