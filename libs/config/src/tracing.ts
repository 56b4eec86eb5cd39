import { SAMPLERS, type SamplerName, type TracingConfig } from '@app/contracts';
import { z } from 'zod';
import { ConfigError } from './config-error';

const PROTOCOL = 'http/protobuf';
const TIMEOUT_MS_DEFAULT = 10_000;
const ENTRIES_MAX = 64;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Paths and queries may hold keys of the collector, so no message shows the URL. */
const endpoint = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'expected a URL of http:// or https://');

const protocol = z
  .string()
  .refine((text) => text === PROTOCOL, `expected ${PROTOCOL}, the only protocol that is spoken; collectors take it at port 4318`);

/** `name=value` with commas between them, percent-encoded, as in W3C Baggage. */
const pairs = z.string().transform((text, context) => {
  const entries = text.split(',').filter((entry) => entry.trim() !== '');
  const read = entries.map(pairOf);
  if (entries.length <= ENTRIES_MAX && read.every((entry) => entry !== null)) return Object.fromEntries(read);
  context.addIssue({ code: 'custom', message: `expected at most ${ENTRIES_MAX} name=value with commas between them, percent-encoded` });
  return z.NEVER;
});

function pairOf(entry: string): [string, string] | null {
  const [name = '', ...rest] = entry.split('=');
  if (rest.length === 0 || name.trim() === '') return null;
  try {
    return [decodeURIComponent(name.trim()), decodeURIComponent(rest.join('=').trim())];
  } catch {
    return null;
  }
}

const headers = pairs.refine(
  (read) => Object.entries(read).every(([name, value]) => HEADER_NAME.test(name) && /^[\t\x20-\x7e]*$/.test(value)),
  'expected names and values that a header of HTTP may have',
);

const timeout = z.coerce.number().int().min(1).max(600_000);
const compression = z.enum(['gzip', 'none']);

/** An empty variable counts as none, as OpenTelemetry has it. */
const given = <Schema extends z.ZodType>(schema: Schema) => z.preprocess((text) => (text === '' ? undefined : text), schema.optional());

/** OpenTelemetry's own variables, as far as they are for traces. */
export const tracingVariables = {
  OTEL_SDK_DISABLED: given(z.enum(['true', 'false'])),
  OTEL_TRACES_EXPORTER: given(z.enum(['otlp', 'none'])),
  OTEL_EXPORTER_OTLP_ENDPOINT: given(endpoint),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: given(endpoint),
  OTEL_EXPORTER_OTLP_PROTOCOL: given(protocol),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: given(protocol),
  OTEL_EXPORTER_OTLP_HEADERS: given(headers),
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: given(headers),
  OTEL_EXPORTER_OTLP_TIMEOUT: given(timeout),
  OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: given(timeout),
  OTEL_EXPORTER_OTLP_COMPRESSION: given(compression),
  OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: given(compression),
  /** PEM; the SDK reads these two by itself. */
  OTEL_EXPORTER_OTLP_CERTIFICATE: given(z.string().min(1)),
  OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: given(z.string().min(1)),
  OTEL_TRACES_SAMPLER: given(z.enum(SAMPLERS)),
  OTEL_TRACES_SAMPLER_ARG: given(z.coerce.number().min(0).max(1)),
  OTEL_SERVICE_NAME: given(z.string().min(1).max(256)),
  OTEL_RESOURCE_ATTRIBUTES: given(pairs),
};

type TracingVariables = { readonly [Name in keyof typeof tracingVariables]?: z.infer<(typeof tracingVariables)[Name]> };

/** Null: nothing is traced. */
export function tracingConfig(env: TracingVariables): TracingConfig | null {
  const url = urlOf(env);
  if (url === null || env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return null;
  const sampler: SamplerName = env.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on';
  if (env.OTEL_TRACES_SAMPLER_ARG !== undefined && !sampler.endsWith('traceidratio'))
    throw new ConfigError(
      `environment: OTEL_TRACES_SAMPLER_ARG: expected OTEL_TRACES_SAMPLER of parentbased_traceidratio or traceidratio but it is ${sampler}`,
    );
  const { 'service.name': named, ...resource } = env.OTEL_RESOURCE_ATTRIBUTES ?? {};
  return {
    url,
    headers: { ...env.OTEL_EXPORTER_OTLP_HEADERS, ...env.OTEL_EXPORTER_OTLP_TRACES_HEADERS },
    compression: env.OTEL_EXPORTER_OTLP_TRACES_COMPRESSION ?? env.OTEL_EXPORTER_OTLP_COMPRESSION ?? 'none',
    timeoutMs: env.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT ?? env.OTEL_EXPORTER_OTLP_TIMEOUT ?? TIMEOUT_MS_DEFAULT,
    sampler,
    ratio: env.OTEL_TRACES_SAMPLER_ARG ?? 1,
    serviceName: env.OTEL_SERVICE_NAME ?? named ?? 'interleave',
    resource,
  };
}

/** The endpoint of all signals is a base; that of traces is a whole URL. */
function urlOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: whole, OTEL_EXPORTER_OTLP_ENDPOINT: base }: TracingVariables): string | null {
  if (whole !== undefined) return whole;
  return base === undefined ? null : `${base.replace(/\/+$/, '')}/v1/traces`;
}
