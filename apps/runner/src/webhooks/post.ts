import { lookup } from 'node:dns';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address';

/** For the whole of a delivery. */
const ANSWER_MS_MAX = 10_000;

export interface Outgoing {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Addresses of this machine and of private networks may be called. */
  allowPrivate: boolean;
}

/** The answer's status; what it says beside is not read, and a redirect is not followed. Rejects when none comes. */
export function post({ url, headers, body, allowPrivate }: Outgoing): Promise<number> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) return Promise.reject(notPublic(host, host));
  const options: RequestOptions = {
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    // No connection of another request, which was perhaps looked up at another time.
    agent: false,
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
    ...(allowPrivate ? {} : { lookup: lookupPublic }),
  };
  return new Promise((resolve, reject) => {
    const outgoing = (protocol === 'https:' ? requestHttps : requestHttp)(url, options);
    outgoing.once('error', reject);
    outgoing.once('response', (answer: IncomingMessage) => {
      resolve(answer.statusCode ?? 0);
      answer.on('error', () => undefined);
      outgoing.destroy();
    });
    outgoing.end(body);
  });
}

/** The connection goes to what is looked up here and nowhere else: a name that has another address the next moment gains nothing. */
const lookupPublic: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, '');
    const refused = addresses.find(({ address }) => !isPublicAddress(address));
    const [first] = addresses;
    if (refused !== undefined || first === undefined) return done(notPublic(hostname, refused?.address ?? 'nothing'), '');
    if (options.all === true) return done(null, addresses);
    return done(null, first.address, first.family);
  });
};

function notPublic(host: string, address: string): Error {
  return new Error(
    `expected a public address for ${host} but received ${address}; set "allowPrivate: true" for this webhook if it is to be called`,
  );
}
