import { randomBytes } from 'node:crypto';
import { OtlpReceiver, treeOf, type ReceivedSpan } from '../support/otlp-receiver';
import { Stack, until } from '../support/stack';

const MODEL = 'encoder-tiny';
const READY_MS_MAX = 60_000;
const STAGES = ['accept', 'admit', 'tokenize', 'enqueue', 'coalesce', 'run', 'respond'];

describe('traces of a node', () => {
  let receiver: OtlpReceiver;
  let stack: Stack;

  beforeAll(async () => {
    receiver = await OtlpReceiver.open();
    stack = await Stack.start({
      models: [MODEL],
      config: 'calibration: { budgetMs: 0 }\nbatch: { chunkRows: 16 }\n',
      environment: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await receiver.close();
  });

  const ids = (): { traceId: string; traceparent: string } => {
    const traceId = randomBytes(16).toString('hex');
    return { traceId, traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01` };
  };

  async function send(path: string, body: object | FormData, traceparent: string): Promise<Record<string, unknown>> {
    const isForm = body instanceof FormData;
    const headers = { traceparent, ...(isForm ? {} : { 'content-type': 'application/json' }) };
    const response = await fetch(stack.url + path, { method: 'POST', headers, body: isForm ? body : JSON.stringify(body) });
    return (await response.json()) as Record<string, unknown>;
  }

  it('tells of a live request, and links requests that shared a run', async () => {
    const { traceId, traceparent } = ids();
    const requests = Array.from({ length: 16 }, (_, i) =>
      send('/v1/embeddings', { model: MODEL, input: `text ${i % 3}` }, i === 0 ? traceparent : ids().traceparent),
    );
    await Promise.all(requests);
    const spans = await receiver.trace(traceId, (received) => received.some(({ name }) => name.startsWith('POST')));
    expect(treeOf(spans)).toBe(`POST /v1/embeddings\n${STAGES.map((stage) => `  ${stage}\n`).join('')}`);
    const runs = receiver.spans.filter(({ name }) => name === 'run');
    const known = new Set(runs.map(({ spanId }) => spanId));
    expect(runs.flatMap(({ links }) => links).every(({ spanId }) => known.has(spanId))).toBe(true);
  });

  it('tells of a batch as one trace over api and runner', async () => {
    const { traceId, traceparent } = ids();
    const rows = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({ custom_id: `row-${i}`, method: 'POST', url: '/v1/embeddings', body: { model: MODEL, input: `secret text ${i}` } }),
    );
    const form = new FormData();
    form.set('purpose', 'batch');
    form.set('file', new Blob([rows.join('\n')]), 'rows.jsonl');
    const file = await send('/v1/files', form, traceparent);
    const batch = await send(
      '/v1/batches',
      { input_file_id: file['id'], endpoint: '/v1/embeddings', completion_window: '24h' },
      traceparent,
    );
    const status = async (): Promise<unknown> =>
      ((await (await fetch(`${stack.url}/v1/batches/${String(batch['id'])}`)).json()) as { status: unknown }).status;
    await until(
      async () => (await status()) === 'completed',
      READY_MS_MAX,
      () => stack.log().slice(-4000),
    );
    const isWhole = (spans: ReceivedSpan[]): boolean =>
      spans.some(({ name }) => name === 'batch') && spans.some(({ name }) => name === 'process batches');
    const spans = await receiver.trace(traceId, isWhole);
    const parentOf = (span: ReceivedSpan | undefined): ReceivedSpan | undefined => spans.find(({ spanId }) => spanId === span?.parentId);
    const named = (name: string): ReceivedSpan[] => spans.filter((span) => span.name === name);
    expect(named('POST /v1/files')).toHaveLength(1);
    const [submitted] = named('POST /v1/batches');
    for (const name of ['batch validate', 'batch publish', 'batch'])
      expect(named(name).map(({ attributes }) => attributes['interleave.batch_id'])).toEqual([batch['id']]);
    const chunks = named('batch chunk');
    expect(chunks.reduce((sum, { attributes }) => sum + Number(attributes['interleave.rows.completed']), 0)).toBe(rows.length);
    for (const part of [...named('rows'), ...named('commit')]) expect(parentOf(part)?.name).toBe('batch chunk');
    expect(named('rows')).toHaveLength(chunks.length);
    for (const chunk of chunks) expect(parentOf(chunk)?.name).toMatch(/^process batch-chunks/);
    expect(parentOf(named('batch')[0])?.spanId).toBe(submitted?.spanId);
    expect(new Set(spans.map(({ resource }) => resource['service.instance.id'])).size).toBe(2);
    // Every span hangs on the two requests of the caller.
    const roots = spans.filter((span) => parentOf(span) === undefined).map(({ name }) => name);
    expect(roots.sort()).toEqual(['POST /v1/batches', 'POST /v1/files']);
    expect(JSON.stringify(receiver.spans)).not.toContain('secret');
  });
});
