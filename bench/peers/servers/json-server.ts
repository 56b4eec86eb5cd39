import { createServer } from 'node:http';

/** Answers `{ ids }` with `{ embedding }`, as the servers in Python do. */
export function serveJson(port: number, embed: (ids: number[]) => Promise<number[]>): void {
  createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { ids } = JSON.parse(Buffer.concat(parts).toString()) as { ids: number[] };
      const answer = (status: number, body: object): void => {
        const text = JSON.stringify(body);
        response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
      };
      embed(ids).then(
        (embedding) => answer(200, { embedding }),
        (error: Error) => answer(503, { error: error.message }),
      );
    });
  }).listen(port, '127.0.0.1');
}
