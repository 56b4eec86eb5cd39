import { SeededRandom } from '../../../test/support/tensors';
import { postRequest } from '../../support/http-connection';
import { LENGTH_MIXES } from '../../support/lengths';
import type { Peer } from '../peer';

export const MIX = 'lognormal, median 40';

/** Rows of random token ids. */
export function requestRows(count: number, seed: number): number[][] {
  const random = new SeededRandom(seed);
  const lengthOf = LENGTH_MIXES[MIX] ?? (() => 1);
  return Array.from({ length: count }, () => Array.from({ length: lengthOf(random) }, () => random.integer(1000, 30_000)));
}

/** The bytes of one request for each row. `timeoutMs`: how long its caller will wait; servers that do not know the header ignore it. */
export function requestsOf(peer: Peer, rows: number[][], timeoutMs: number | null): Buffer[] {
  const headers = { 'content-type': 'application/json', ...(timeoutMs === null ? {} : { 'x-interleave-timeout-ms': String(timeoutMs) }) };
  return rows.map((ids) => postRequest(peer.path, Buffer.from(JSON.stringify(peer.bodyOf(ids))), headers));
}
