import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPaths } from '@app/config';

describe('the health check of a container', () => {
  let runDir: string;
  const servers: Server[] = [];
  beforeEach(() => (runDir = mkdtempSync(join(tmpdir(), 'il-health-'))));
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    rmSync(runDir, { recursive: true });
  });

  const answering = (process: string, body: string, status = 200): Promise<void> => {
    const server = createServer((_request, response) => response.writeHead(status).end(body));
    servers.push(server);
    return new Promise((resolve) => server.listen(runPaths(runDir).statusSocket(process), resolve));
  };
  const check = (...args: string[]): Promise<[code: number, reason: string]> =>
    new Promise((resolve) => {
      const environment = { PATH: process.env['PATH'], RUN_DIR: runDir };
      const child = execFile(process.execPath, [join(__dirname, 'health.cjs'), ...args], { env: environment }, (_error, _out, reason) =>
        resolve([child.exitCode ?? -1, reason.trim()]),
      );
    });

  it('is good while the process answers; --ready asks whether it takes requests', async () => {
    await answering('api', JSON.stringify({ missing: 'loading: langid/1' }));
    expect(await check('api')).toEqual([0, '']);
    expect(await check('api', '--ready')).toEqual([1, 'api: loading: langid/1']);
    await answering('other', JSON.stringify({ missing: null }));
    expect(await check('other', '--ready')).toEqual([0, '']);
  });

  it.each([
    ['an error', 'no', 500, /status 500/],
    ['no JSON', '<html>', 200, /JSON/],
    ['nothing about readiness', '{}', 200, /undefined/],
  ])('is bad with %s', async (_title, body, status, reason) => {
    await answering('api', body, status);
    const [code, text] = await check('api', '--ready');
    expect(code).toBe(1);
    expect(text).toMatch(reason);
  });

  it('is bad without a process', async () => {
    expect(await check('scheduler')).toEqual([1, expect.stringMatching(/ENOENT/)]);
  });
});
