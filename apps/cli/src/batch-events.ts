import { setTimeout as sleep } from 'node:timers/promises';
import { isOver, type ShownBatch } from './batch-text';
import type { ApiClient } from './client';
import { CliError, ServerRefusal, Unreachable } from './cli-error';

interface ServerEvent {
  id: string;
  /** "": the stream does not name it. */
  event: string;
  data: string;
}

/** A batch is a few KiB. */
const EVENT_CHARS_MAX = 1024 * 1024;
/** The server says something every 15 s. */
const SILENCE_MS_MAX = 60_000;
const RECONNECT_MS = 1_000;
const RECONNECTS_MAX = 60;

/** The states of a batch as they come, to the last one. It connects again when the server goes away, for about a minute. */
export async function* batchStates(client: ApiClient, id: string): AsyncGenerator<ShownBatch, void, void> {
  let lastId = '';
  for (let failures = 0; ; failures++) {
    try {
      for await (const event of readEvents(await client.openEvents(`/v1/batches/${encodeURIComponent(id)}/events`, lastId))) {
        failures = 0;
        lastId = event.id;
        const batch = JSON.parse(event.data) as ShownBatch;
        yield batch;
        if (isOver(batch)) return;
      }
    } catch (error) {
      const isAway = error instanceof Unreachable || (error instanceof ServerRefusal && error.status === 503);
      const isRefused = error instanceof CliError && !isAway;
      if (isRefused || failures >= RECONNECTS_MAX || lastId === '') throw error;
    }
    await sleep(RECONNECT_MS);
  }
}

/** Of a stream of server-sent events, those with data. Throws for a stream that falls silent, or an event longer than `charsMax`. */
export async function* readEvents(stream: ReadableStream<Uint8Array>, charsMax = EVENT_CHARS_MAX): AsyncGenerator<ServerEvent, void, void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await readInTime(reader);
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      if (text.length > charsMax) throw new Error(`expected events of at most ${charsMax} characters`);
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event !== null) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function readInTime(reader: ReadableStreamDefaultReader<Uint8Array>): ReturnType<typeof reader.read> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Unreachable(`the server has said nothing for ${SILENCE_MS_MAX / 1000} s`)), SILENCE_MS_MAX);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Null: a comment. */
function parseEvent(block: string): ServerEvent | null {
  const field = (name: string): string[] =>
    block.split('\n').flatMap((line) => (line.startsWith(`${name}:`) ? line.slice(name.length + 1).replace(/^ /, '') : []));
  const data = field('data');
  return data.length === 0 ? null : { id: field('id')[0] ?? '', event: field('event')[0] ?? '', data: data.join('\n') };
}
