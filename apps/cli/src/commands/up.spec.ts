import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serveProcessStatus } from '@app/process';
import { Registry } from 'prom-client';
import { greetWhenReady } from './up';

describe('greetWhenReady', () => {
  const dir = mkdtempSync(join(tmpdir(), 'il-up-'));
  const statusSocket = join(dir, 'api.sock');
  let server: Server;
  let url: string;
  /** How often the models were asked for; the first connection breaks. */
  let listings = 0;
  /** What the API says of itself, one answer after the other, before it is ready. */
  let states: { url: string | null; missing: string | null }[];
  let status: { close(): Promise<void> };

  beforeEach(async () => {
    server = createServer((request, response) => {
      if (++listings === 1) request.socket.destroy();
      else
        response.end(
          JSON.stringify({
            data: [
              { id: 'first', task: 'embedding', ready: true },
              { id: 'langid', task: 'sequence-classification', ready: true },
            ],
          }),
        );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    states = [
      { url: null, missing: null },
      { url, missing: 'loading: langid/1' },
    ];
    status = await serveProcessStatus({
      socketPath: statusSocket,
      registry: new Registry(),
      status: () => states.shift() ?? { url, missing: null },
    });
  });
  afterEach(async () => {
    server.close();
    await status.close();
    rmSync(dir, { recursive: true });
  });

  it('waits for the API itself, not for whoever answers at its port, and on when it goes away again', async () => {
    const written: string[] = [];
    await greetWhenReady(url, statusSocket, (text) => written.push(text));
    expect({ listings, statesLeft: states.length }).toEqual({ listings: 2, statesLeft: 0 });
    expect(written).toEqual([expect.stringContaining('with the model langid')]);
  });
});
