import { existsSync, rmSync } from 'node:fs';
import { runPaths } from '@app/config';
import { fetchStatus } from '@app/process';
import { createServer } from './server';
import { apiOn, EchoBackend } from './testing/fakes';
import { Turn } from './turn';

/** A backend that says when it was closed. */
class ClosingBackend extends EchoBackend {
  isClosed = false;

  override async close(): Promise<void> {
    this.isClosed = true;
  }
}

describe('the end of an API process', () => {
  it('gives up its turn at once, answers what runs, and closes what that runs on last', async () => {
    const backend = new ClosingBackend();
    const options = apiOn(backend);
    const { config } = options;
    const app = await createServer({ ...options, turn: await Turn.queue(config.runDir) });
    await app.listen(0, '127.0.0.1');
    let open: () => void = () => undefined;
    backend.gate = new Promise<void>((resolve) => (open = resolve));
    const answer = fetch(`${await app.getUrl()}/v1/models/echo:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"instances":[{"x":[1,2]}]}',
    });
    while (backend.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));

    const closed = app.close();
    const next = await Turn.queue(config.runDir);
    await next.comes();
    next.giveUp();
    const statusSocket = runPaths(config.runDir).statusSocket('api');
    expect(await fetchStatus('api', statusSocket)).toMatchObject({ missing: 'shutting down' });
    expect(backend.isClosed).toBe(false);

    open();
    expect((await answer).status).toBe(200);
    await closed;
    expect({ isClosed: backend.isClosed, hasSocket: existsSync(statusSocket) }).toEqual({ isClosed: true, hasSocket: false });
    rmSync(config.dataDir, { recursive: true });
  });
});
