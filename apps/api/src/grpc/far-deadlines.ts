import type { Http2Server, IncomingHttpHeaders } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

const TIMEOUT_HEADER = 'grpc-timeout';
/** As grpc-js finds it. */
const TIMEOUT = /(\d{1,8})\s*([HMSmun])/;
/** Shorter units cannot reach `TIMER_MS_MAX`. */
const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000 };
/** Of timers in node, and of the integers that grpc-js keeps a timeout in: beyond, its calls end too early. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Takes deadlines that lie further away than a timer can reach as none. Once the injector of `server` is there. */
export function ignoreFarDeadlines(server: Server): void {
  // Private in grpc-js 1.14: no public hook sees the headers before it reads them.
  const { http2Servers } = server as unknown as { http2Servers: Map<Http2Server, unknown> };
  for (const http2 of http2Servers.keys()) http2.prependListener('stream', (_stream, headers) => dropFarDeadline(headers));
}

function dropFarDeadline(headers: IncomingHttpHeaders): void {
  const [, amount, unit = ''] = TIMEOUT.exec(String(headers[TIMEOUT_HEADER])) ?? [];
  if (Number(amount) * (UNIT_MS[unit] ?? 0) > TIMER_MS_MAX) delete headers[TIMEOUT_HEADER];
}
