import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import type { Stack } from './stack';

export interface OutputLine {
  custom_id: string;
  response: { status_code: number; body: { data: { index: number; embedding: string }[] } } | null;
  error: { code: string; message: string } | null;
}

export function openaiClient(stack: Pick<Stack, 'url'>): OpenAI {
  return new OpenAI({ apiKey: 'unused', baseURL: `${stack.url}/v1`, maxRetries: 0 });
}

/** Writes an embeddings batch (`row-0`, `row-1`, …; texts or token ids) and submits it with the official client; resolves with the batch's id. */
export async function submitEmbeddings(
  stack: Pick<Stack, 'url' | 'dir'>,
  model: string,
  inputs: Iterable<string | number[]>,
): Promise<string> {
  const client = openaiClient(stack);
  const path = join(stack.dir, 'batch.jsonl');
  let lines = '';
  let index = 0;
  for (const input of inputs) {
    const body = { model, input, encoding_format: 'base64' };
    lines += `${JSON.stringify({ custom_id: `row-${index++}`, method: 'POST', url: '/v1/embeddings', body })}\n`;
  }
  writeFileSync(path, lines);
  const file = await client.files.create({ file: createReadStream(path), purpose: 'batch' });
  return (await client.batches.create({ input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' })).id;
}

/** The lines of a finished batch's output file or error file; empty when it has none. */
export async function fileLines(stack: Stack, fileId: string | null | undefined): Promise<OutputLine[]> {
  if (!fileId) return [];
  const text = await (await openaiClient(stack).files.content(fileId)).text();
  return text
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as OutputLine);
}
