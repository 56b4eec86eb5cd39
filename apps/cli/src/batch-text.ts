import type { BatchLogEntry, BatchObject, BatchProgress, BatchStatus } from '@app/contracts';
import { table } from './table';

/** A batch as the server shows it. */
export type ShownBatch = BatchObject & {
  interleave?: { paused?: string; progress?: BatchProgress; priority?: string; not_run?: number };
};

const OVER: readonly BatchStatus[] = ['completed', 'failed', 'cancelled', 'expired'];

export function isOver({ status }: Pick<BatchObject, 'status'>): boolean {
  return OVER.includes(status);
}

/** Its rows: those that were not run are not among the failed ones, as they are in `request_counts`. */
export function rowsOf({
  request_counts: { total, completed, failed },
  interleave,
}: ShownBatch): Record<'total' | 'done' | 'failed' | 'notRun', number> {
  const notRun = interleave?.not_run ?? 0;
  return { total, done: completed + failed - notRun, failed: failed - notRun, notRun };
}

/** One batch, in a few lines. */
export function describe(batch: ShownBatch): string {
  const { completed } = batch.request_counts;
  const { total, failed, notRun } = rowsOf(batch);
  const { paused, progress } = batch.interleave ?? {};
  const lines = [
    `${batch.id}: ${batch.status}, ${completed} of ${total} rows completed, ${failed} failed${notRun === 0 ? '' : `, ${notRun} not run`}`,
    `endpoint: ${batch.endpoint}`,
  ];
  if (paused !== undefined) lines.push(`paused: ${paused}`);
  if (progress?.rows_per_second) lines.push(`${rateText(progress)}, ${leftText(progress)} left`);
  const failures = Object.entries(progress?.failures ?? {});
  if (failures.length > 0) lines.push(`failed rows: ${failures.map(([code, rows]) => `${rows} ${code}`).join(', ')}`);
  if (batch.output_file_id) lines.push(`output file: ${batch.output_file_id}`);
  if (batch.error_file_id) lines.push(`error file: ${batch.error_file_id}`);
  for (const { line, message } of batch.errors?.data ?? [])
    lines.push(line === null ? `error: ${message}` : `error in line ${line}: ${message}`);
  return lines.join('\n');
}

export function listText(batches: readonly ShownBatch[]): string {
  if (batches.length === 0) return 'no batches';
  const rows = batches.map((batch) => {
    const { id, status, endpoint, created_at: createdAt, interleave } = batch;
    const { total, done, failed } = rowsOf(batch);
    return [
      id,
      interleave?.paused !== undefined && status === 'in_progress' ? 'paused' : status,
      `${done}/${total}`,
      String(failed),
      interleave?.progress === undefined ? '-' : leftText(interleave.progress),
      interleave?.priority ?? '-',
      endpoint,
      new Date(createdAt * 1000).toISOString(),
    ];
  });
  return table(['BATCH', 'STATUS', 'ROWS', 'FAILED', 'LEFT', 'PRIORITY', 'ENDPOINT', 'CREATED'], rows);
}

export function logText(entries: readonly BatchLogEntry[]): string {
  if (entries.length === 0) return 'nothing happened yet';
  return entries
    .map(({ at, event, message, count }) => {
      const times = count === undefined ? '' : ` (${count} times, the last one then)`;
      return `${new Date(at * 1000).toISOString()}  ${event.padEnd(7)}  ${message}${times}`;
    })
    .join('\n');
}

export function rateText({ rows_per_second: rate }: BatchProgress): string {
  return rate === null ? '- rows/s' : `${rate.toFixed(rate < 10 ? 1 : 0)} rows/s`;
}

/** As "4:10 (3:55 to 4:30)". */
export function leftText({ seconds_left: left }: BatchProgress): string {
  return left === null ? '-' : `${duration(left.expected)} (${duration(left.low)} to ${duration(left.high)})`;
}

export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const pad = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}
