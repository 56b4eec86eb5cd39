import { createServer } from 'node:http';
import { PORT, SETTINGS } from './environment';

/** Answers `{ ids }` with `{ embedding }`, as the servers in Python do; refuses requests while it holds as many as it may. */
export function serveJson(embed: (ids: number[]) => Promise<number[]>): void {
  let held = 0;
  createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { ids } = JSON.parse(Buffer.concat(parts).toString()) as { ids: number[] };
      const answer = (status: number, body: object): void => {
        const text = JSON.stringify(body);
        response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
      };
      if (held >= SETTINGS.requestsMax) return answer(503, { error: 'too many requests' });
      held += 1;
      void embed(ids)
        .then(
          (embedding) => answer(200, { embedding }),
          (error: Error) => answer(503, { error: error.message }),
        )
        .finally(() => (held -= 1));
    });
  }).listen(PORT, '127.0.0.1');
}
