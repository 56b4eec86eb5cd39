import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';
import type { ProcessState, SchedulerProcessStatus } from '@app/contracts';
import { Registry } from 'prom-client';
import { NodeCounts } from './node-counts';
import { Sampler } from './sampler';

const WORKER = 'default-realtime';

describe('a sample of the node', () => {
  let dir: string;
  const closing: (() => void)[] = [];
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-sample-'))));
  afterEach(() => {
    for (const close of closing.splice(0)) close();
    rmSync(dir, { recursive: true });
  });

  /** A process that answers every request with this. */
  async function processThat(id: string, body: object, status = 200): Promise<Server> {
    const server = createServer((_request, response) => response.writeHead(status).end(JSON.stringify(body)));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    await new Promise<void>((resolve) => server.listen(runPaths(dir).statusSocket(id), resolve));
    return server;
  }

  function sampler(state: ProcessState = 'ready'): Sampler {
    const status = {
      processes: [{ id: WORKER, pid: 1, state, restarts: 1, reason: 'exit code 1' }],
      workers: [],
      placement: { workers: [{ id: WORKER }] },
    } as unknown as SchedulerProcessStatus;
    const config = { runDir: dir, dataDir: dir, storage: { kind: 'directory', path: dir } as const, redisUrl: null };
    return new Sampler(config, { registry: new Registry(), status: () => status }, new NodeCounts());
  }

  it.each<[string, object, number]>([
    ['fails', { error: 'out of order' }, 500],
    ['has no parts', { id: WORKER, state: 'serving' }, 200],
  ])('leaves out a process whose status %s, and no other', async (_how, body, status) => {
    await processThat(WORKER, body, status);
    await processThat('api', { id: 'api-1', pid: 3, missing: null });
    const { workers, api } = await sampler().take();
    expect([workers.get(WORKER), api?.pid]).toEqual([null, 3]);
  });

  it('takes a worker for silent once it did not answer twice', async () => {
    const looks = sampler();
    expect((await looks.take()).silentWorkers).toEqual(new Set());
    expect((await looks.take()).silentWorkers).toEqual(new Set([WORKER]));
    const starting = sampler('starting');
    await starting.take();
    expect((await starting.take()).silentWorkers).toEqual(new Set());
  });
});
