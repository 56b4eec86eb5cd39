import type { ServerHttp2Stream } from 'node:http2';
import { status, type ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { Counter, Gauge, type Registry } from 'prom-client';

/** Calls of gRPC by method and status. Methods are those that the server has: others do not come so far. */
export class GrpcMetrics {
  private readonly calls: Counter;
  private readonly open: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.calls = new Counter({
      name: 'interleave_grpc_calls_total',
      help: 'Calls of gRPC that are over, by method and status; a stream is one call',
      labelNames: ['method', 'status'],
      registers,
    });
    this.open = new Gauge({
      name: 'interleave_grpc_open_calls',
      help: 'Calls of gRPC that are not over',
      labelNames: ['method'],
      registers,
    });
  }

  /** Before all others: it sees the status that leaves. A call that ends without one was given up by its caller. */
  readonly interceptor: ServerInterceptor = ({ path }, outer) => {
    const call = outer as ServerInterceptingCall & { stream: ServerHttp2Stream };
    const method = path.slice(path.lastIndexOf('/') + 1);
    const { stream } = call;
    let code: status | null = null;
    this.open.inc({ method });
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (ended) => {
      // As in grpc-js, which drops it then.
      if (!stream.destroyed && !stream.closed) code ??= ended.code ?? status.OK;
      sendStatus(ended);
    };
    stream.once('close', () => {
      this.open.dec({ method });
      this.calls.inc({ method, status: status[code ?? status.CANCELLED] });
    });
    return call;
  };
}
