import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import {
  commandProcess,
  fetchDoor,
  fetchLaneReport,
  fetchStatus,
  probeStatus,
  serveProcessStatus,
  type ProcessStatusServer,
} from './process-status';

describe('what a process tells of itself', () => {
  const dir = mkdtempSync(join(tmpdir(), 'il-status-'));
  const socketPath = join(dir, 'p.sock');
  const LONG_MS = 60_000;
  let server: ProcessStatusServer;
  let status: () => object;

  beforeAll(async () => {
    server = await serveProcessStatus({
      socketPath,
      registry: new Registry(),
      status: () => status(),
      doors: { '/late': (_query, response) => void response.writeHead(503).end('null') },
    });
  });
  afterAll(async () => {
    await server.close();
    rmSync(dir, { recursive: true });
  });

  it('is its status', async () => {
    status = () => ({ pid: 5 });
    expect(await fetchStatus('api', socketPath, LONG_MS)).toEqual({ pid: 5 });
  });

  it('is no status where it fails, and a sign of life all the same', async () => {
    status = () => {
      throw new Error('out of order');
    };
    await expect(fetchStatus('api', socketPath, LONG_MS)).rejects.toThrow('out of order');
    await probeStatus(socketPath, LONG_MS);
  });

  it('is an error where there is nothing', async () => {
    await expect(fetchLaneReport(socketPath, LONG_MS)).rejects.toThrow('no answer to /lane');
    await expect(fetchDoor(socketPath, '/late', LONG_MS)).rejects.toThrow('no answer to /late');
    await expect(commandProcess(socketPath, '/none', {}, LONG_MS)).rejects.toThrow('no answer to /none');
  });
});
