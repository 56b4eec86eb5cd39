import { SingleBar } from 'cli-progress';
import { batchStates } from './batch-events';
import { leftText, rateText, rowsOf, type ShownBatch } from './batch-text';
import type { ApiClient } from './client';
import { CliError } from './cli-error';

/** Between two lines where there is no terminal. */
const LINE_MS = 10_000;
const UNKNOWN = { rows_per_second: null, seconds_left: null, failures: {} };

/** Shows a progress bar on standard error, or lines where that is no terminal, until the batch is over; resolves with its last state. */
export async function followBatch(client: ApiClient, id: string): Promise<ShownBatch> {
  const bar = new SingleBar({
    format: '{bar} {value}/{total} rows | {rate} | {left} left | {status}',
    barsize: 30,
    clearOnComplete: false,
    noTTYOutput: false,
    stream: process.stderr,
  });
  bar.start(0, 0, { rate: '-', left: '-', status: 'validating' });
  const lines = new ProgressLines();
  let last: ShownBatch | null = null;
  try {
    for await (const batch of batchStates(client, id)) {
      last = batch;
      const { total, done } = rowsOf(batch);
      const { paused, progress = UNKNOWN } = batch.interleave ?? {};
      const shown = {
        status: paused === undefined ? batch.status : `paused: ${paused}`,
        rate: rateText(progress),
        left: leftText(progress),
      };
      bar.setTotal(total);
      bar.update(done, shown);
      if (!process.stderr.isTTY) lines.show(`${done}/${total} rows | ${shown.rate} | ${shown.left} left`, shown.status);
    }
  } finally {
    bar.stop();
  }
  if (last === null) throw new CliError(`the server has told nothing of batch ${id}; try: interleave batch status ${id}`);
  return last;
}

/** A line when the status changes, and now and then. */
class ProgressLines {
  private status = '';
  private shownMs = -Infinity;

  show(text: string, status: string): void {
    if (status === this.status && performance.now() - this.shownMs < LINE_MS) return;
    this.status = status;
    this.shownMs = performance.now();
    console.error(`${text} | ${status}`);
  }
}
