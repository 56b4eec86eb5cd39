import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../../test/support/stack';
import { MODEL } from './fleet';

const LOOK_MS = 250;

export interface BatchView {
  id: string;
  status: string;
  output_file_id: string | null;
  error_file_id: string | null;
  request_counts: { total: number; completed: number; failed: number };
  interleave?: { paused?: string };
}

/** What two runs of the same rows are compared by. */
export interface BatchOutput {
  sha256: string;
  bytes: number;
  lines: number;
  /** Rows without a line, with more than one, or with an error. */
  wrongRows: number;
}

/** Rows of the same text each time, of differing length. */
function rowsFile(rows: number): string {
  let lines = '';
  for (let row = 0; row < rows; row++) {
    const body = { model: MODEL, input: `row ${row} ${'x'.repeat(row % 23)}`, encoding_format: 'base64' };
    lines += `${JSON.stringify({ custom_id: `row-${row}`, method: 'POST', url: '/v1/embeddings', body })}\n`;
  }
  return lines;
}

/** Submits the rows as a batch whose output depends on nothing but them. */
export async function submit(node: Stack, rows: number): Promise<string> {
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new Blob([rowsFile(rows)]), 'rows.jsonl');
  const file = await json<{ id: string }>(fetch(`${node.url}/v1/files`, { method: 'POST', body: form }));
  const body = JSON.stringify({
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
    deterministic: true,
  });
  const headers = { 'content-type': 'application/json' };
  return (await json<{ id: string }>(fetch(`${node.url}/v1/batches`, { method: 'POST', headers, body }))).id;
}

/** As the first node that answers sees it; null: none does now. */
export async function viewOf(nodes: readonly Stack[], id: string): Promise<BatchView | null> {
  for (const node of nodes) {
    const view = await json<BatchView>(fetch(`${node.url}/v1/batches/${id}`, { signal: AbortSignal.timeout(2000) })).catch(() => null);
    if (view !== null) return view;
  }
  return null;
}

/** Waits until the batch has this share of its rows. */
export async function untilDone(nodes: readonly Stack[], id: string, options: { share: number; timeoutMs: number }): Promise<BatchView> {
  const giveUpAt = performance.now() + options.timeoutMs;
  for (;;) {
    const view = await viewOf(nodes, id);
    const counts = view?.request_counts;
    const isOver =
      view?.status === 'completed' || (options.share < 1 && counts && counts.total > 0 && counts.completed >= options.share * counts.total);
    if (view !== null && isOver) return view;
    if (view !== null && ['failed', 'expired', 'cancelled'].includes(view.status)) throw new Error(`batch ${view.status}`);
    if (performance.now() > giveUpAt) throw new Error(`the batch is not done: ${JSON.stringify(view)}`);
    await sleep(LOOK_MS);
  }
}

export async function outputOf(
  node: Stack,
  { output_file_id: outputId, error_file_id: errorId }: BatchView,
  rows: number,
): Promise<BatchOutput> {
  const texts = await Promise.all(
    [outputId, errorId].map(async (fileId) => (fileId === null ? '' : (await fetch(`${node.url}/v1/files/${fileId}/content`)).text())),
  );
  const [output = '', errors = ''] = texts;
  const lines = output.split('\n').slice(0, -1);
  const times = new Map<string, number>();
  for (const line of lines) {
    const { custom_id: id } = JSON.parse(line) as { custom_id: string };
    times.set(id, (times.get(id) ?? 0) + 1);
  }
  let wrongRows = errors.split('\n').length - 1;
  for (let row = 0; row < rows; row++) if (times.get(`row-${row}`) !== 1) wrongRows++;
  return { sha256: createHash('sha256').update(output).digest('hex'), bytes: Buffer.byteLength(output), lines: lines.length, wrongRows };
}

async function json<T>(answer: Promise<Response>): Promise<T> {
  const response = await answer;
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}
