import { SingleBar } from 'cli-progress';
import { batchStates } from './batch-events';
import { leftText, rateText, type ShownBatch } from './batch-text';
import type { ApiClient } from './client';
import { CliError } from './cli-error';

const UNKNOWN = { rows_per_second: null, seconds_left: null, failures: {} };

/** Shows a progress bar on standard error (when it is a terminal) until the batch is over; resolves with its last state. */
export async function followBatch(client: ApiClient, id: string): Promise<ShownBatch> {
  const bar = new SingleBar({
    format: '{bar} {value}/{total} rows | {rate} | {left} left | {status}',
    barsize: 30,
    clearOnComplete: false,
    noTTYOutput: false,
    stream: process.stderr,
  });
  bar.start(0, 0, { rate: '-', left: '-', status: 'validating' });
  let last: ShownBatch | null = null;
  try {
    for await (const batch of batchStates(client, id)) {
      last = batch;
      const { total, completed, failed } = batch.request_counts;
      const { paused, progress = UNKNOWN } = batch.interleave ?? {};
      bar.setTotal(total);
      bar.update(completed + failed, {
        status: paused === undefined ? batch.status : `paused: ${paused}`,
        rate: rateText(progress),
        left: leftText(progress),
      });
    }
  } finally {
    bar.stop();
  }
  if (last === null) throw new CliError(`the server has told nothing of batch ${id}; try: interleave batch status ${id}`);
  return last;
}
