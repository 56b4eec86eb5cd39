import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import { serveProcessStatus, type ProcessStatusServer } from '@app/process';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { MergedMetrics } from './merge';

describe('merged metrics', () => {
  const runDir = mkdtempSync(join(tmpdir(), 'il-merge-'));
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(() => Promise.all(closing.splice(0).map((close) => close())));
  afterAll(() => rmSync(runDir, { recursive: true }));

  async function processWith(id: string, fill: (registry: Registry) => void): Promise<ProcessStatusServer> {
    const registry = new Registry();
    fill(registry);
    const server = await serveProcessStatus({ socketPath: runPaths(runDir).statusSocket(id), registry, status: () => ({}) });
    closing.push(() => server.close());
    return server;
  }

  /** A process that answers every request with these bytes, or never (null). */
  async function oddProcess(id: string, body: string | null): Promise<void> {
    const server: Server = createServer((_request, response) => {
      if (body !== null) response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(runPaths(runDir).statusSocket(id), resolve));
    closing.push(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
  }

  const rows = (registry: Registry, count: number) =>
    new Counter({ name: 'rows', help: 'rows', labelNames: ['lane'], registers: [registry] }).inc({ lane: 'batch' }, count);

  it('adds up counters and histograms of all processes and keeps labels apart', async () => {
    const histogram = (registry: Registry, value: number) =>
      new Histogram({ name: 'h', help: 'h', buckets: [1, 10], registers: [registry] }).observe(value);
    await processWith('a', (registry) => {
      rows(registry, 2);
      histogram(registry, 0.5);
      new Gauge({ name: 'delay', help: 'd', labelNames: ['process'], registers: [registry] }).set({ process: 'a' }, 7);
    });
    await processWith('b', (registry) => {
      rows(registry, 3);
      histogram(registry, 5);
      new Gauge({ name: 'delay', help: 'd', labelNames: ['process'], registers: [registry] }).set({ process: 'b' }, 9);
    });
    const own = new Registry();
    rows(own, 10);
    const text = await (await new MergedMetrics(own, runDir, () => ['a', 'b']).collect()).metrics();
    expect(text).toContain('rows{lane="batch"} 15\n');
    expect(text).toContain('h_bucket{le="1"} 1\n');
    expect(text).toContain('h_bucket{le="10"} 2\n');
    expect(text).toContain('delay{process="a"} 7\n');
    expect(text).toContain('delay{process="b"} 9\n');
  });

  it('goes on without processes that are gone, silent or speak something else, and counts them', async () => {
    await processWith('good', (registry) => rows(registry, 1));
    await oddProcess('silent', null);
    await oddProcess('words', 'hello');
    await oddProcess('object', '{"rows": 1}');
    await oddProcess('list', '[{"name": "rows"}, null]');
    const merged = new MergedMetrics(new Registry(), runDir, () => ['good', 'gone', 'silent', 'words', 'object', 'list']);
    expect(await (await merged.collect()).metrics()).toContain('rows{lane="batch"} 1\n');
    const text = await (await merged.collect()).metrics();
    for (const id of ['gone', 'silent', 'words', 'object', 'list'])
      expect(text).toContain(`interleave_metrics_missed_total{process="${id}"} 2\n`);
    expect(text).not.toContain('process="good"');
  });

  it('asks the processes once for all who want to know at one time', async () => {
    await oddProcess('words', 'hello');
    const merged = new MergedMetrics(new Registry(), runDir, () => ['words']);
    await Promise.all(Array.from({ length: 100 }, () => merged.collect()));
    expect(await (await merged.collect()).metrics()).toContain('interleave_metrics_missed_total{process="words"} 2\n');
  });
});
