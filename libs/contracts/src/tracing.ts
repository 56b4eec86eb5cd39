/** How a trace goes from one process or node to the next, by W3C Trace Context. */
export interface TraceCarrier {
  traceparent: string;
  tracestate?: string;
}

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

/** Where spans go, and which. */
export interface TracingConfig {
  /** Takes OTLP in protobuf by POST. */
  readonly url: string;
  /** Sent with each of them; may be secret. */
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: 'gzip' | 'none';
  /** The collector must have answered by then. */
  readonly timeoutMs: number;
  readonly sampler: SamplerName;
  /** Share of the traces that the `…traceidratio` samplers keep. */
  readonly ratio: number;
  readonly serviceName: string;
  /** Attributes of every span's resource. */
  readonly resource: Readonly<Record<string, string>>;
}
