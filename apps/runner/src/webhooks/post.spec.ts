import dns from 'node:dns';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { post } from './post';

describe('post', () => {
  let server: Server;
  let port: number;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let seen: string[];

  beforeEach(async () => {
    seen = [];
    answer = (_request, response) => void response.writeHead(204).end();
    server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host}`);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const send = (url: string, allowPrivate = false) => post({ url, headers: { 'x-a': 'b' }, body: '{"é":1}', allowPrivate });

  /** The system's names, as an attacker's server would answer: one address after another. */
  function nameIs(...addresses: string[]): () => number {
    let asked = 0;
    jest.spyOn(dns, 'lookup').mockImplementation(((
      _host: string,
      _options: object,
      done: (error: null, all: dns.LookupAddress[]) => void,
    ) => {
      const address = addresses[Math.min(asked++, addresses.length - 1)] ?? '';
      done(null, [{ address, family: address.includes(':') ? 6 : 4 }]);
    }) as never);
    return () => asked;
  }

  it.each(['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', '0.0.0.0'])(
    'does not call %s',
    async (host) => {
      await expect(send(`http://${host}:${port}/`)).rejects.toThrow('expected a public address');
      expect(seen).toEqual([]);
    },
  );

  it('calls this machine where that is allowed', async () => {
    expect(await send(`http://127.0.0.1:${port}/hook?x=1`, true)).toBe(204);
    expect(seen).toEqual([`POST /hook?x=1 127.0.0.1:${port}`]);
  });

  it('does not call a name of which one address is private', async () => {
    jest.spyOn(dns, 'lookup').mockImplementation(((
      _host: string,
      _options: object,
      done: (error: null, all: dns.LookupAddress[]) => void,
    ) =>
      done(null, [
        { address: '1.1.1.1', family: 4 },
        { address: '10.0.0.1', family: 4 },
      ])) as never);
    await expect(send('http://rebind.example/')).rejects.toThrow('expected a public address for rebind.example but received 10.0.0.1');
  });

  it('looks a name up once, so that it cannot have another address when it is called', async () => {
    const asked = nameIs('192.0.2.1', '127.0.0.1');
    await expect(send(`http://rebind.example:${port}/`)).rejects.toThrow('received 192.0.2.1');
    expect(asked()).toBe(1);
    expect(seen).toEqual([]);
  });

  it('does not follow a redirect', async () => {
    answer = (_request, response) => void response.writeHead(307, { location: `http://127.0.0.1:${port}/other` }).end();
    expect(await send(`http://127.0.0.1:${port}/`, true)).toBe(307);
    expect(seen).toHaveLength(1);
  });

  it('does not wait for what the answer says', async () => {
    answer = (_request, response) => void response.writeHead(200).write('and so on');
    expect(await send(`http://127.0.0.1:${port}/`, true)).toBe(200);
  });

  it('gives up a receiver that says nothing', async () => {
    answer = () => undefined;
    jest.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort(new Error('no answer in time')));
    await expect(send(`http://127.0.0.1:${port}/`, true)).rejects.toThrow(/abort/i);
  });
});
