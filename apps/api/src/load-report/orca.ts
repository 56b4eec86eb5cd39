import { dirname, join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { LoadReport } from './load-meter';

export const TEXT_HEADER = 'endpoint-load-metrics';
export const BINARY_TRAILER = 'endpoint-load-metrics-bin';

const DIGITS = 4;
const SERVICE = 'xds.service.orca.v3.OpenRcaService';

/** Open Request Cost Aggregation (ORCA), as proxies and gRPC clients read it. The definitions come with grpc-js. */
const protos = join(dirname(require.resolve('@grpc/grpc-js/package.json')), 'proto');
const definitions = loadSync('xds/service/orca/v3/orca.proto', {
  keepCase: true,
  longs: Number,
  includeDirs: [join(protos, 'xds'), join(protos, 'protoc-gen-validate')],
});

export interface OrcaRequest {
  report_interval?: { seconds?: number; nanos?: number } | null;
}

export const orcaService = definitions[SERVICE] as ServiceDefinition;
export const streamMethod = orcaService['StreamCoreMetrics'] as MethodDefinition<OrcaRequest, object>;

/** As the message `xds.data.orca.v3.OrcaLoadReport`. */
export function orcaMessage({ rps, eps, utilization, backlogMs, load }: LoadReport): object {
  return {
    rps_fractional: rps,
    eps,
    application_utilization: utilization,
    named_metrics: { live_backlog_ms: backlogMs, live_load: load },
  };
}

export function orcaBytes(report: LoadReport): Buffer {
  return streamMethod.responseSerialize(orcaMessage(report));
}

/** The value of the header of HTTP. */
export function orcaText({ rps, eps, utilization, backlogMs, load }: LoadReport): string {
  const metrics = {
    rps_fractional: rps,
    eps,
    application_utilization: utilization,
    'named_metrics.live_backlog_ms': backlogMs,
    'named_metrics.live_load': load,
  };
  const texts = Object.entries(metrics).map(([name, value]) => `${name}=${Number(value.toPrecision(DIGITS))}`);
  return `TEXT ${texts.join(',')}`;
}
