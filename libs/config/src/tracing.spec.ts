import { loadConfig } from './index';

const tracing = (environment: Record<string, string>) => loadConfig(environment).tracing;
const ON = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' };

describe('settings of traces', () => {
  it.each([
    ['by default', {}],
    ['without an endpoint', { OTEL_TRACES_SAMPLER: 'always_on' }],
    ['with an empty one', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
    ['when the SDK is disabled', { ...ON, OTEL_SDK_DISABLED: 'true' }],
    ['without an exporter', { ...ON, OTEL_TRACES_EXPORTER: 'none' }],
  ])('are off %s', (_, environment) => {
    expect(tracing(environment)).toBeNull();
  });

  it('have the defaults of OpenTelemetry', () => {
    expect(tracing(ON)).toEqual({
      url: 'http://collector:4318/v1/traces',
      headers: {},
      compression: 'none',
      timeoutMs: 10_000,
      sampler: 'parentbased_always_on',
      ratio: 1,
      serviceName: 'interleave',
      resource: {},
    });
  });

  it('take those of traces before those of all signals', () => {
    const own = {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces/in',
      OTEL_EXPORTER_OTLP_HEADERS: 'a=1, b=x%20y',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'a=2',
      OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'gzip',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.1',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=theirs,deployment.environment.name=test',
    };
    expect(tracing({ ...ON, ...own })).toMatchObject({
      url: 'https://traces/in',
      headers: { a: '2', b: 'x y' },
      compression: 'gzip',
      ratio: 0.1,
      serviceName: 'theirs',
      resource: { 'deployment.environment.name': 'test' },
    });
    expect(tracing({ ...ON, ...own, OTEL_SERVICE_NAME: 'mine' })?.serviceName).toBe('mine');
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', 'expected a URL of http:// or https://'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', 'http/protobuf'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'secret', 'name=value'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a b=secret', 'header of HTTP'],
    ['OTEL_TRACES_SAMPLER', 'some', 'OTEL_TRACES_SAMPLER'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5', 'OTEL_TRACES_SAMPLER_ARG'],
    ['OTEL_TRACES_SAMPLER_ARG', '0.5', 'parentbased_traceidratio'],
  ])('are refused with %s=%s', (name, value, message) => {
    const wrong = (): unknown => tracing({ ...ON, [name]: value });
    expect(wrong).toThrow(name);
    expect(wrong).toThrow(message);
    expect(wrong).not.toThrow('secret');
  });
});
