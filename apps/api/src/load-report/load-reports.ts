import { InterleaveError } from '@app/contracts';
import { Metadata, ServerInterceptingCall, status, type Server, type ServerInterceptor, type ServerWritableStream } from '@grpc/grpc-js';
import { INFER_PATHS } from '../grpc/definitions';
import { errorStatus } from '../grpc/status';
import type { LoadMeter } from './load-meter';
import { BINARY_TRAILER, orcaBytes, orcaMessage, orcaService, type OrcaRequest } from './orca';

type ReportStream = ServerWritableStream<OrcaRequest, object>;

/** Of all callers. */
const STREAMS_MAX = 256;
const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 3600_000;
const INTERVAL_MS = 1_000;
/** Codes of gRPC by what the meter counts. */
const REFUSALS: ReadonlySet<status> = new Set([status.RESOURCE_EXHAUSTED, status.UNAVAILABLE]);
const FAILURES: ReadonlySet<status> = new Set([status.INTERNAL, status.DEADLINE_EXCEEDED, status.UNKNOWN]);

/** Load reports over gRPC: in the trailer of each answer, and as a stream of their own. */
export class LoadReports {
  private streams = 0;

  /** `meter`: null where nothing is reported. */
  constructor(readonly meter: LoadMeter | null) {}

  /** Those that a server of gRPC needs for the trailers. */
  interceptors(): ServerInterceptor[] {
    const { meter } = this;
    return meter === null
      ? []
      : [({ path }, call) => (INFER_PATHS.has(path) ? withTrailer(call, meter) : (call as ServerInterceptingCall))];
  }

  /** `OpenRcaService`, open to all as health is. */
  addTo(server: Server): void {
    const { meter } = this;
    if (meter !== null) server.addService(orcaService, { StreamCoreMetrics: (call: ReportStream) => this.stream(call, meter) });
  }

  private stream(call: ReportStream, meter: LoadMeter): void {
    if (this.streams === STREAMS_MAX) {
      const text = `expected at most ${STREAMS_MAX} streams of load reports at once; read the trailer ${BINARY_TRAILER} instead`;
      return void call.emit('error', errorStatus(new InterleaveError('overloaded', text)));
    }
    const tell = (): void => {
      const report = meter.report();
      // A caller that does not read gets the newest once it does.
      if (report !== null && !call.writableNeedDrain) call.write(orcaMessage(report));
    };
    this.streams++;
    tell();
    const timer = setInterval(tell, intervalMs(call.request)).unref();
    call.once('cancelled', () => {
      this.streams--;
      clearInterval(timer);
    });
  }
}

type OuterCall = ConstructorParameters<typeof ServerInterceptingCall>[0];

function withTrailer(call: OuterCall, meter: LoadMeter): ServerInterceptingCall {
  return new ServerInterceptingCall(call, {
    sendMessage: (message, next) => {
      meter.answered(200);
      next(message);
    },
    sendStatus: (ended, next) => {
      if (REFUSALS.has(ended.code)) meter.answered(503);
      else if (FAILURES.has(ended.code)) meter.answered(500);
      const report = meter.report();
      if (report === null) return next(ended);
      const metadata = ended.metadata?.clone() ?? new Metadata();
      metadata.set(BINARY_TRAILER, orcaBytes(report));
      next({ ...ended, metadata });
    },
  });
}

function intervalMs({ report_interval: interval }: OrcaRequest): number {
  const askedMs = Number(interval?.seconds ?? 0) * 1000 + Number(interval?.nanos ?? 0) / 1e6;
  return askedMs > 0 ? Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, askedMs)) : INTERVAL_MS;
}
