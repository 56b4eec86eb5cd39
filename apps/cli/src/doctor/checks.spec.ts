import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { atLeast, checkCpus, checkNode, checkRedis } from './machine-checks';
import { preemptionFinding } from './preemption-check';
import { checkDataDir, checkModels, checkPort, checkRuntime } from './node-checks';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'doctor-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function program(name: string, output: string): void {
  writeFileSync(join(dir, name), `#!/bin/sh\necho '${output}'\n`);
  chmodSync(join(dir, name), 0o755);
}

const PRIVATE = { redisUrl: null, redisSentinels: null, searchPath: '' };

describe('doctor', () => {
  it.each([
    ['holds', 'ok'],
    ['fails', 'degraded'],
    ['unclear', 'degraded'],
  ] as const)('takes preemption that "%s" for %s, and says why', (verdict, expected) => {
    const finding = preemptionFinding(
      { verdict, cause: null, reason: 'p99 1 ms', cpu: 0, attempts: 1, p50Ms: 1, p99Ms: 1, aloneP99Ms: null },
      'again',
    );
    expect(finding.verdict).toBe(expected);
    expect(finding.detail).toContain('p99 1 ms');
    expect(finding.remedy === null).toBe(expected === 'ok');
  });

  it.each([
    ['20.19.0', true],
    ['20.18.3', false],
    ['22.1.0', true],
    ['18.20.0', false],
  ])('Node %s is new enough: %s', (version, enough) => {
    expect(checkNode(version).verdict === 'ok').toBe(enough);
  });

  it('compares versions as numbers', () => {
    expect(atLeast('10.2.1', { major: 6, minor: 2 })).toBe(true);
    expect(atLeast('6.10.0', { major: 6, minor: 2 })).toBe(true);
  });

  it('tells how to get a Redis when there is none', () => {
    expect(checkRedis({ ...PRIVATE, searchPath: dir })).toMatchObject({
      verdict: 'broken',
      remedy: expect.stringContaining('apt-get install') as string,
    });
  });

  it.each([
    ['redis-server', 'Redis server v=7.0.15 sha=0:0', 'ok'],
    ['valkey-server', 'Valkey server v=8.0.1 sha=0:0', 'ok'],
    ['redis-server', 'Redis server v=5.0.14 sha=0:0', 'broken'],
    ['redis-server', 'what?', 'degraded'],
  ])('judges %s that says "%s": %s', (name, output, verdict) => {
    program(name, output);
    expect(checkRedis({ ...PRIVATE, searchPath: dir }).verdict).toBe(verdict);
  });

  it('does not show the password of REDIS_URL', () => {
    const redisSentinels = { hosts: [{ host: 'one', port: 26379 }], name: 'il', password: 'secret' };
    expect(checkRedis({ ...PRIVATE, redisUrl: 'redis://:secret@sentinels', redisSentinels }).detail).toBe(
      'il by REDIS_SENTINELS one:26379',
    );
    expect(checkRedis({ ...PRIVATE, redisUrl: 'redis://user:secret@host:6379' }).detail).not.toContain('secret');
  });

  it('reports the CPUs that this process may use', () => {
    expect(checkCpus().detail).toMatch(/^\d+ usable \([\d,-]+\) of \d+ online/);
  });

  it('finds a DATA_DIR that cannot be made', () => {
    writeFileSync(join(dir, 'file'), '');
    const config = loadConfig({ DATA_DIR: join(dir, 'file', 'data') });
    expect(checkDataDir(config).verdict).toBe('broken');
    expect(checkDataDir({ ...config, dataDir: join(dir, 'data') }).verdict).toBe('ok');
    const full = { ...config, dataDir: dir, batch: { ...config.batch, diskFreeBytesMin: Number.MAX_SAFE_INTEGER } };
    expect(checkDataDir(full).verdict).toBe('degraded');
  });

  it('loads ONNX Runtime as a worker does, and tells its version', () => {
    expect(checkRuntime({ ortLibraryPath: null })).toMatchObject({
      verdict: 'ok',
      detail: expect.stringMatching(/^1\.\d+\.\d+, .*libonnxruntime/) as string,
    });
    writeFileSync(join(dir, 'libonnxruntime.so'), 'not a library');
    expect(checkRuntime({ ortLibraryPath: join(dir, 'libonnxruntime.so') })).toMatchObject({
      verdict: 'broken',
      detail: expect.stringContaining(dir) as string,
    });
  });

  it('names the models that are not served, and why', () => {
    expect(checkModels({ modelsDir: join(dir, 'absent') }).verdict).toBe('degraded');
    mkdirSync(join(dir, 'bare'));
    expect(checkModels({ modelsDir: dir })).toMatchObject({
      verdict: 'degraded',
      detail: expect.stringMatching(/^0 in .*not served: bare 1 \(expected model\.onnx/) as string,
    });
  });

  it.each([
    [200, 'ok'],
    [404, 'broken'],
  ])('judges a port that is taken by what answers there (%d: %s)', async (status, verdict) => {
    const server = createServer((_request, response) => response.writeHead(status).end('{}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect((await checkPort({ host: '127.0.0.1', port, tls: null, runDir: '' })).verdict).toBe(verdict);
    await new Promise((resolve) => server.close(resolve));
    expect((await checkPort({ host: '127.0.0.1', port, tls: null, runDir: '' })).verdict).toBe('ok');
  });
});
