import { rmSync } from 'node:fs';
import { RedisServers, until } from '../../../../test/support/redis-servers';
import { createServer } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';

const ROW = '{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}\n';
const REQUEST = { endpoint: '/v1/embeddings', completion_window: '24h' };

describe('a batch while Redis is frozen', () => {
  it('says that Redis is not reachable, and no more once it is', async () => {
    const servers = new RedisServers({ tls: false });
    const { port, child } = await servers.server();
    const options = apiOn(new EchoBackend());
    const app = await createServer({ ...options, config: { ...options.config, redisUrl: `redis://127.0.0.1:${port}` } });
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    try {
      const view = async (path: string, init: RequestInit = {}): Promise<{ id: string; interleave: { paused?: string } }> =>
        (await (await fetch(`${url}${path}`, init)).json()) as never;
      const rows = { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: ROW };
      const { id: fileId } = await view('/v1/files?purpose=batch', rows);
      const body = JSON.stringify({ input_file_id: fileId, ...REQUEST });
      const { id } = await view('/v1/batches', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      await until(async () => (await view(`/v1/batches/${id}`)).interleave.paused === undefined);
      child.kill('SIGSTOP');
      expect((await view(`/v1/batches/${id}`)).interleave.paused).toBe('Redis is not reachable');
      const { data } = (await (await fetch(`${url}/v1/batches`)).json()) as { data: object[] };
      expect(data).toMatchObject([{ interleave: { paused: 'Redis is not reachable' } }]);
      child.kill('SIGCONT');
      await until(async () => (await view(`/v1/batches/${id}`)).interleave.paused === undefined);
    } finally {
      child.kill('SIGCONT');
      await app.close();
      await servers.close();
      rmSync(options.config.dataDir, { recursive: true });
    }
  });
});
