import { readFileSync } from 'node:fs';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ClientTls } from '@app/config';

export interface Outgoing {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Readable;
  /** Ends the request and its answer. */
  signal?: AbortSignal;
}

/** As `fetch`, which cannot be given authorities and certificates of its own. Redirects are not followed. */
export async function send(url: string, { method = 'GET', headers = {}, body = '', signal }: Outgoing, tls: ClientTls): Promise<Response> {
  const isTls = url.startsWith('https:');
  const options = { method, headers, ...(signal === undefined ? {} : { signal }) };
  const outgoing = isTls ? requestHttps(url, { ...options, ...tlsOptions(tls) }) : requestHttp(url, options);
  const answer = new Promise<IncomingMessage>((resolve, reject) => outgoing.once('response', resolve).once('error', reject));
  if (typeof body === 'string') outgoing.end(body);
  // An answer may come before all of the body was sent, and the error of a body that broke ends the request.
  else pipeline(body, outgoing).catch((error: Error) => outgoing.destroy(error));
  const incoming = await answer;
  const status = incoming.statusCode ?? 0;
  return new Response(status === 204 ? null : (Readable.toWeb(incoming) as ReadableStream), { status, headers: fieldsOf(incoming) });
}

function tlsOptions({ caFile, certFile, keyFile }: ClientTls): RequestOptions {
  const read = (path: string | null): Buffer | undefined => (path === null ? undefined : readFileSync(path));
  return { ca: read(caFile), cert: read(certFile), key: read(keyFile) };
}

function fieldsOf({ headers }: IncomingMessage): [string, string][] {
  return Object.entries(headers).map(([name, value]) => [name, String(value)]);
}
