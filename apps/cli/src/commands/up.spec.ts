import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { greetWhenReady } from './up';

describe('greetWhenReady', () => {
  let server: Server;
  afterEach(() => server.close());

  it('waits on when the API goes away between being ready and listing its models', async () => {
    let listings = 0;
    server = createServer((request, response) => {
      if (request.url === '/v2/health/ready') response.end();
      else if (++listings === 1) request.socket.destroy();
      else response.end(JSON.stringify({ data: [{ id: 'first' }, { id: 'langid' }] }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const written: string[] = [];
    await greetWhenReady(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, (text) => written.push(text));
    expect(listings).toBe(2);
    expect(written).toEqual([expect.stringContaining('with the model langid')]);
  });
});
