import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiClient } from './client';
import { CliError } from './cli-error';

let server: Server | null = null;
afterEach(() => server?.close());

async function serve(listener: RequestListener): Promise<string> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
}

describe('client', () => {
  it('says how to start a server when none answers', async () => {
    const url = await serve(() => undefined);
    await new Promise((resolve) => server?.close(resolve));
    const refusal = new ApiClient({ url }).get('/v1/models');
    await expect(refusal).rejects.toThrow(CliError);
    await expect(refusal).rejects.toThrow(/cannot be reached \(ECONNREFUSED\); start a server with `interleave up`/);
  });

  it.each(['foo', '127.0.0.1:8080', 'localhost:8080', 'ftp://host', ''])('says what an address must look like: %p', (url) => {
    expect(() => new ApiClient({ url })).toThrow(new CliError(`expected an address like http://127.0.0.1:8080 but received "${url}"`));
  });

  it('asks again with the same key when an answer is lost, and while the first request is in work', async () => {
    const keys: unknown[] = [];
    const url = await serve((request, response) => {
      keys.push(request.headers['idempotency-key']);
      if (keys.length === 1) response.destroy();
      else if (keys.length === 2) response.writeHead(409).end('in work');
      else response.end('{"id": "batch_1"}');
    });
    expect(await new ApiClient({ url }).postOnce('/v1/batches', {})).toEqual({ id: 'batch_1' });
    expect(keys).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), keys[0], keys[0]]);
  });

  it('does not ask again what was refused', async () => {
    let asked = 0;
    const url = await serve((_request, response) => response.writeHead(409).end(`${++asked}`));
    await expect(new ApiClient({ url }).postOnce('/v1/batches', {})).rejects.toThrow('status 409: 1');
  });

  it.each([
    ['{"error": "model m is not here"}', 'model m is not here (status 404)'],
    ['{"error": {"message": "model m is not here", "type": "x"}}', 'model m is not here (status 404)'],
    ['<html>', 'status 404: <html>'],
  ])('shows the message of the refusal %s', async (body, message) => {
    const url = await serve((_request, response) => response.writeHead(404).end(body));
    await expect(new ApiClient({ url: `${url}/` }).get('/v1/models')).rejects.toThrow(new CliError(message));
  });
});
