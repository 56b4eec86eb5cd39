import { SourceError } from '../source-error';
import type { HttpAnswer } from './http-client';

/** The bytes from `start` on, also of a server that gives the whole file although it was asked for the rest. */
export async function* skipTo(answer: HttpAnswer, start: number): AsyncGenerator<Uint8Array, void, void> {
  let skip = start;
  if (answer.status === 206) {
    const first = /^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '')?.[1];
    if (first !== undefined && Number(first) !== start) {
      await answer.drop();
      throw new SourceError(`asked for the bytes from ${start} on, the source gives those from ${first} on`);
    }
    skip = 0;
  }
  for await (const part of answer.bytes()) {
    if (part.length > skip) yield part.subarray(skip);
    skip = Math.max(0, skip - part.length);
  }
}
