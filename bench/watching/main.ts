import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Stack } from '../../test/support/stack';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';
import { median, quantile } from '../support/statistics';

/**
 * What it costs to be watched: two nodes in turns, one with nothing on, one with an open dashboard, a scrape of its metrics each second,
 * and a trace of every tenth request. Of each round the p50 of one caller and the requests per second of many; the ratio of a round's two
 * nodes, and the median of the rounds. `encoder-tiny`, one row of 32 tokens.
 */
const MODEL = 'encoder-tiny';
const TOKENS = 32;
const ROUNDS = Number(process.env['ROUNDS'] ?? 15);
const ONE_CALLER_MS = 2_000;
const MANY_CALLERS_MS = 2_000;
const CALLERS = 32;
const SCRAPE_MS = 1_000;
const LIMIT = 0.03;
const RESULTS = join('bench', 'results', 'watching.json');

interface Figures {
  p50Ms: number;
  requestsPerSecond: number;
}

async function main(): Promise<void> {
  const collector = await startCollector();
  const config = 'calibration: { budgetMs: 0 }';
  const unwatched = await Stack.start({ models: [MODEL], config });
  const endpoint = `http://127.0.0.1:${(collector.server.address() as AddressInfo).port}`;
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.1',
  };
  const watched = await Stack.start({ models: [MODEL], config, environment });
  try {
    const rounds: { off: Figures; on: Figures }[] = [];
    for (let round = -1; round < ROUNDS; round++) {
      const measureOff = () => measure(unwatched);
      const measureOn = () => whileWatched(watched, () => measure(watched));
      // The first of a round now and then.
      const [off, on] = round % 2 === 0 ? [await measureOff(), await measureOn()] : await inOtherOrder(measureOff, measureOn);
      if (round >= 0) rounds.push({ off, on });
    }
    report(rounds, collector.requests());
  } finally {
    await unwatched.stop();
    await watched.stop();
    collector.server.close();
  }
}

async function inOtherOrder(off: () => Promise<Figures>, on: () => Promise<Figures>): Promise<[Figures, Figures]> {
  const second = await on();
  return [await off(), second];
}

/** Takes spans and throws them away. */
async function startCollector(): Promise<{ server: Server; requests: () => number }> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    request.resume().on('end', () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, requests: () => requests };
}

async function whileWatched(stack: Stack, work: () => Promise<Figures>): Promise<Figures> {
  const leave = new AbortController();
  const page = await fetch(`${stack.url}/dashboard/events`, { signal: leave.signal });
  if (!page.ok) throw new Error(`/dashboard/events: status ${page.status}`);
  const reading = readAll(page).catch(() => undefined); // aborted
  const scrapes = setInterval(() => void fetch(`${stack.url}/metrics`).then((answer) => answer.text()), SCRAPE_MS);
  try {
    return await work();
  } finally {
    clearInterval(scrapes);
    leave.abort();
    await reading;
  }
}

async function readAll({ body }: Response): Promise<void> {
  for await (const part of body ?? []) void part;
}

async function measure(stack: Stack): Promise<Figures> {
  const samples = await sendFor(stack, 0, ONE_CALLER_MS);
  const many = await Promise.all(Array.from({ length: CALLERS }, (_, caller) => sendFor(stack, caller, MANY_CALLERS_MS)));
  return { p50Ms: quantile(samples, 0.5), requestsPerSecond: many.flat().length / (MANY_CALLERS_MS / 1000) };
}

/** Milliseconds of each request; callers differ in their ids, or equal requests in flight would share a run. */
async function sendFor(stack: Stack, caller: number, durationMs: number): Promise<number[]> {
  const ids = Array.from({ length: TOKENS }, (_, index) => 5 + index + caller);
  const request = infer({ model: MODEL, ids, output: 'sentence_embedding', headers: {} });
  const connection = await HttpConnection.open(stack.url);
  const samples: number[] = [];
  for (const endMs = performance.now() + durationMs; performance.now() < endMs;) {
    const startMs = performance.now();
    const { status, body } = await connection.send(request);
    if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 500)}`);
    samples.push(performance.now() - startMs);
  }
  connection.close();
  return samples;
}

function report(rounds: { off: Figures; on: Figures }[], exports: number): void {
  const of = (pick: (figures: Figures) => number) => ({
    off: median(rounds.map(({ off }) => pick(off))),
    on: median(rounds.map(({ on }) => pick(on))),
    ratio: median(rounds.map(({ off, on }) => pick(on) / pick(off))),
  });
  const result = { p50Ms: of(({ p50Ms }) => p50Ms), requestsPerSecond: of(({ requestsPerSecond }) => requestsPerSecond) };
  console.table(result);
  console.log(`limit ${LIMIT * 100} %; ${exports} exports of spans`);
  mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(RESULTS, `${JSON.stringify({ ...result, rounds }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
