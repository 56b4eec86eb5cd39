import { setTimeout as sleep } from 'node:timers/promises';
import { VERSION, type TracingConfig } from '@app/contracts';
import * as api from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type Sampler,
} from '@opentelemetry/sdk-trace-node';
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';
import type { Logger } from 'pino';
import { setTracingApi } from './active-trace';
import { SpanQueue } from './span-queue';
import { Tracing } from './tracing';

const NAME = 'interleave';
const CLOSE_MS = 2_000;
/** Whatever is added to a span, it stays small. */
const SPAN_LIMITS = { attributeCountLimit: 64, attributeValueLengthLimit: 1024, linkCountLimit: 16, eventCountLimit: 16 };

export interface TracedProcess {
  id: string;
  nodeId: string;
}

/** Loads and starts OpenTelemetry's SDK; imported by `openTracing` only, when it is wanted: it takes 150 ms. */
export function startSdk(config: TracingConfig, process: TracedProcess, log: Logger): Tracing {
  const exporter = new OTLPTraceExporter({
    url: config.url,
    headers: { ...config.headers },
    timeoutMillis: config.timeoutMs,
    compression: config.compression as never,
  });
  const queue = new SpanQueue(exporter, reporter(log));
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      [ATTR_SERVICE_VERSION]: VERSION,
      'service.instance.id': `${process.nodeId}/${process.id}`,
      'host.name': process.nodeId,
      ...config.resource,
      [ATTR_SERVICE_NAME]: config.serviceName,
    }),
    sampler: samplerOf(config),
    spanLimits: SPAN_LIMITS,
    spanProcessors: [queue],
  });
  provider.register();
  setTracingApi(api);
  return new Tracing(api, provider.getTracer(NAME, VERSION), queue.counts, () => close(provider));
}

async function close(provider: NodeTracerProvider): Promise<void> {
  setTracingApi(null);
  for (const part of [api.trace, api.context, api.propagation]) part.disable();
  await Promise.race([provider.shutdown().catch(() => undefined), sleep(CLOSE_MS, undefined, { ref: false })]);
}

function samplerOf({ sampler, ratio }: TracingConfig): Sampler {
  const name = sampler.replace('parentbased_', '');
  const root =
    name === 'always_on' ? new AlwaysOnSampler() : name === 'always_off' ? new AlwaysOffSampler() : new TraceIdRatioBasedSampler(ratio);
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

/** Says when the collector goes and when it is back, not each time. */
function reporter(log: Logger): (error: Error | null) => void {
  let isAway = false;
  return (error) => {
    if (error !== null && !isAway) log.warn({ reason: error.message }, 'the collector of traces does not take spans; they are dropped');
    if (error === null && isAway) log.info('the collector of traces takes spans again');
    isAway = error !== null;
  };
}
