import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TracingConfig } from '@app/contracts';
import { Registry } from 'prom-client';
import { OtlpReceiver } from '../../../../test/support/otlp-receiver';
import { createLogger } from '../logger';
import { activeTrace, detached } from './active-trace';
import { observeTracing, openTracing } from './open-tracing';

const ROOT = join(__dirname, '..', '..', '..', '..');
const SPANS_MAX = 4096;
const base = { headers: {}, compression: 'none', timeoutMs: 1000, sampler: 'always_on', ratio: 1, serviceName: 's', resource: {} } as const;
const config = (url: string): TracingConfig => ({ ...base, url: `${url}/v1/traces` });

describe('traces', () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('p', 'info', { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  const open = (url: string) => {
    const tracing = openTracing(config(url), { id: 'p', nodeId: 'n' }, log);
    if (tracing === null) throw new Error('expected traces');
    return tracing;
  };
  beforeEach(() => void (lines.length = 0));

  it('do not load the SDK while they are off', () => {
    const script = `
      const { openTracing } = require('./libs/telemetry/src');
      const off = openTracing(null, { id: 'p', nodeId: 'n' }, {});
      console.log(JSON.stringify([off, Object.keys(require.cache).filter((path) => /@opentelemetry\\/(?!api\\/)|bullmq-otel/.test(path))]));`;
    const printed = execFileSync(process.execPath, ['-r', './test/fixtures/register-ts.cjs', '-e', script], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(JSON.parse(printed)).toEqual([null, []]);
  });

  it('are in the lines that are logged within a span, and nowhere else', async () => {
    const receiver = await OtlpReceiver.open();
    const tracing = open(receiver.url);
    const span = tracing.start('work', null);
    tracing.within(span, () => {
      log.info('within');
      expect(activeTrace()?.trace_id).toBe(span.spanContext().traceId);
      detached(() => log.info('apart'));
    });
    log.info('after');
    span.end();
    await tracing.close();
    const { traceId: trace_id, spanId: span_id } = span.spanContext();
    expect(lines[0]).toMatchObject({ msg: 'within', trace_id, span_id });
    expect(lines.slice(1).map(({ msg, trace_id: id }) => [msg, id])).toEqual([
      ['apart', undefined],
      ['after', undefined],
    ]);
    expect(receiver.spans.map(({ spanId }) => spanId)).toEqual([span_id]);
    expect(activeTrace()).toBeNull();
    await receiver.close();
  });

  it('drop and count what a collector that is away does not take, and say so once', async () => {
    const gone = await OtlpReceiver.open();
    const { url } = gone;
    await gone.close();
    const tracing = open(url);
    const registry = new Registry();
    observeTracing(registry, 'p', tracing);
    for (let i = 0; i < 3; i++) tracing.start(`s${i}`, null).end();
    await tracing.close();
    expect(await registry.metrics()).toContain('interleave_spans_total{process="p",outcome="dropped"} 3');
    expect(lines.map(({ msg }) => msg)).toEqual(['the collector of traces does not take spans; they are dropped']);
  });

  it('never hold more than the queue while a collector does not answer', async () => {
    const silent: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const tracing = open(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    const SENT_AT_ONCE = 512;
    for (let i = 0; i < SPANS_MAX + SENT_AT_ONCE + 100; i++) tracing.start('s', null).end();
    expect(tracing.counts).toEqual({ exported: 0, dropped: 100 });
    silent.closeAllConnections();
    silent.close();
    await tracing.close();
  });
});
