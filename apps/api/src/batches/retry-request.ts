import { BATCH_PRIORITY_DEFAULT, InterleaveError } from '@app/contracts';
import { isTerminal, type BatchStore, type Manifest, type NewBatch } from '@app/batches';
import type { BatchRequest } from './batch-requests';
import { windowSeconds } from './completion-window';

/** A batch of the rows of a batch that was itself made of another's, and so on. */
const RETRIES_MAX = 16;
const WINDOW_DEFAULT = '24h';

/** What a retry is made of in place of a table. */
export interface RetryRequest extends Omit<BatchRequest, 'table'> {
  retryOf: string;
  /** The batches whose results say which rows are left: that one, the one that it retries, and so on. */
  sources: readonly string[];
  prepared: NonNullable<NewBatch['table']>;
}

/** A new batch over the rows of one that failed or were not run, with all else as it was. Throws `conflict` where there are none. */
export async function retryRequest(batches: BatchStore, manifest: Manifest): Promise<RetryRequest> {
  const { batch } = manifest;
  if (!isTerminal(batch.status)) throw conflict(`A batch with status '${batch.status}' is not over; cancel it or wait for its end`);
  if (batch.in_progress_at === null)
    throw conflict(
      `None of its rows was started; ${batch.errors === null ? '' : 'put right what is in its errors and '}submit it as a new batch`,
    );
  if (manifest.isDryRun === true) throw conflict('A dry run has no rows of its own; submit the batch without dry_run');
  if (batch.request_counts.completed === batch.request_counts.total)
    throw conflict('All its rows are completed; there is nothing to retry');
  if (!(await batches.hasResults(batch.id)))
    throw conflict('Its output files are deleted, which say what is left to do; submit the rows as a new batch');
  const before = await sourcesOf(batches, manifest);
  if (before.length >= RETRIES_MAX)
    throw conflict(`It is the ${RETRIES_MAX}th retry of one batch; submit the rows that are left as a new file`);
  const window = windowSeconds(batch.completion_window) === null ? WINDOW_DEFAULT : batch.completion_window;
  return {
    inputFileId: batch.input_file_id,
    endpoint: batch.endpoint,
    metadata: batch.metadata,
    isDeterministic: batch.deterministic === true,
    outputExpiresAfterSeconds: manifest.outputExpiresAfterSeconds,
    completionWindow: window,
    completionWindowSeconds: windowSeconds(window) ?? 0,
    priority: manifest.priority ?? BATCH_PRIORITY_DEFAULT,
    isDryRun: false,
    retryOf: batch.id,
    sources: [batch.id, ...before],
    prepared: { input: manifest.input ?? null, output: manifest.output ?? null, hasPreparedRows: true },
  };
}

/** To be asked last, once the retry is there. Throws `conflict` where what it reads was deleted meanwhile. */
export async function checkSources(batches: BatchStore, sources: readonly string[]): Promise<void> {
  for (const source of sources)
    if (!(await batches.mayRetry(source)))
      throw conflict(`The results of ${source}, which say what is left to do, are being deleted; submit the rows as a new batch`);
}

/** The batches whose rows a retry has, the last one first. */
async function sourcesOf(batches: BatchStore, manifest: Manifest): Promise<string[]> {
  const sources: string[] = [];
  let before: string | undefined = manifest.retryOf;
  while (before !== undefined && sources.length < RETRIES_MAX) {
    const source: Manifest | null = await batches.read(before);
    if (source === null || !(await batches.hasResults(before)))
      throw conflict(`Its rows are those of ${before}, which is deleted; submit them as a new file`);
    sources.push(before);
    before = source.retryOf;
  }
  return sources;
}

const conflict = (message: string): InterleaveError => new InterleaveError('conflict', message, { param: 'batch_id' });
