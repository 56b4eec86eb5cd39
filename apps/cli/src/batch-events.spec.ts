import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { batchStates, readEvents } from './batch-events';
import { ApiClient } from './client';

const event = (id: string, status: string): string => `id: ${id}\nevent: batch.${status}\ndata: {"status":"${status}"}\n\n`;

describe('events of a batch', () => {
  let server: Server;
  /** Answers the connections one after another. */
  let answers: ((response: ServerResponse) => void)[];
  let requests: IncomingMessage[];

  beforeEach(async () => {
    answers = [];
    requests = [];
    server = createServer((request, response) => {
      requests.push(request);
      answers.shift()?.(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  async function statuses(): Promise<string[]> {
    const client = new ApiClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const seen: string[] = [];
    for await (const { status } of batchStates(client, 'batch_1')) seen.push(status);
    return seen;
  }

  it('come until the batch is over', async () => {
    answers.push((response) => response.write(`: still here\n\n${event('1', 'validating')}${event('2', 'completed')}`));
    expect(await statuses()).toEqual(['validating', 'completed']);
    expect(requests.map(({ url, headers }) => [url, headers['last-event-id']])).toEqual([['/v1/batches/batch_1/events', undefined]]);
  });

  it('go on after the last one when the connection breaks', async () => {
    answers.push(
      (response) => response.write(event('1', 'validating'), () => response.destroy()),
      (response) => response.writeHead(503).end(),
      (response) => response.end(event('2', 'in_progress')),
      (response) => response.end(event('3', 'cancelled')),
    );
    expect(await statuses()).toEqual(['validating', 'in_progress', 'cancelled']);
    expect(requests.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1', '1', '2']);
  });

  it('end with what the server refuses', async () => {
    answers.push(
      (response) => response.end(event('1', 'validating')),
      (response) => response.writeHead(404).end('{"error":{"message":"No batch"}}'),
    );
    await expect(statuses()).rejects.toThrow('No batch (status 404)');
  });

  it('are read whatever pieces they come in', async () => {
    const bytes = Buffer.from('id: a\ndata: {"x":\ndata: "é"}\n\n: c\n\nid: b\ndata: 2\n\n');
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const events = [];
    for await (const each of readEvents(stream)) events.push(each);
    expect(events).toEqual([
      { id: 'a', event: '', data: '{"x":\n"é"}' },
      { id: 'b', event: '', data: '2' },
    ]);
  });
});
