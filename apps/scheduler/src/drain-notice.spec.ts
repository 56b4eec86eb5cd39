import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, runPaths, type Config } from '@app/config';
import { DRAIN_COMMAND, serveProcessStatus, type ProcessStatusServer } from '@app/process';
import { createLogger } from '@app/telemetry';
import { Registry } from 'prom-client';
import { giveNotice } from './drain-notice';
import { checkEnvoy } from './envoy';

const log = createLogger('scheduler', 'fatal');

describe('the notice before a node ends', () => {
  let dir: string;
  /** What API and Envoy were told, in order. */
  let told: string[];
  let api: ProcessStatusServer;
  let envoy: Server;
  /** What Envoy says of its requests, one look after the other. */
  let active: number[];

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'il-notice-'));
    told = [];
    active = [];
    const { runDir } = configOf({});
    mkdirSync(runDir, { recursive: true });
    api = await serveProcessStatus({
      socketPath: runPaths(runDir).statusSocket('api'),
      registry: new Registry(),
      status: () => ({}),
      commands: { [DRAIN_COMMAND]: () => (told.push('api'), {}) },
    });
    envoy = createServer((request, response) => {
      const isLook = request.method === 'GET';
      told.push(isLook ? 'look' : 'envoy');
      const own = isLook ? (active.shift() ?? 0) : 0;
      response.end(`http.admin.downstream_rq_active: 1\nhttp.grpc.downstream_rq_active: 0\nhttp.http.downstream_rq_active: ${own}\n`);
    });
    await new Promise<void>((resolve) => envoy.listen(join(runDir, 'envoy.admin.sock'), resolve));
  });
  afterEach(async () => {
    await api.close();
    envoy.close();
    rmSync(dir, { recursive: true });
  });

  const configOf = (settings: Record<string, string>): Config => loadConfig({ DATA_DIR: dir, ...settings });
  const never = (): boolean => false;

  it('is not given where nobody else takes the requests', async () => {
    await giveNotice(configOf({}), log, never);
    expect(told).toEqual([]);
  });

  it('tells the API, and ends after the wait', async () => {
    const beganMs = performance.now();
    await giveNotice(configOf({ DRAIN_WAIT_MS: '100' }), log, never);
    expect(new Set(told)).toEqual(new Set(['api']));
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(100);
  });

  it('tells it again: another process may have taken over', async () => {
    await giveNotice(configOf({ DRAIN_WAIT_MS: '20000' }), log, () => told.length === 2);
    expect(told).toEqual(['api', 'api']);
  });

  it('goes on when the API does not answer', async () => {
    await api.close();
    await giveNotice(configOf({ DRAIN_WAIT_MS: '10' }), log, never);
    expect(told).toEqual([]);
  });

  it('tells Envoy first, and lets it finish', async () => {
    active = [2, 1, 0];
    await giveNotice(configOf({ WITH_ENVOY: '1', DRAIN_WAIT_MS: '10' }), log, never);
    expect(told.filter((who, index) => who !== told[index - 1])).toEqual(['envoy', 'api', 'look']);
    expect(active).toEqual([]);
  });

  it('waits for nothing when the operator is in a hurry', async () => {
    active = [1, 1, 1];
    await giveNotice(configOf({ WITH_ENVOY: '1', DRAIN_WAIT_MS: '20000' }), log, () => true);
    expect(told).toEqual(['envoy']);
  });
});

describe('Envoy beside a node', () => {
  const config = (settings: Record<string, string>): Config => loadConfig({ PATH: '/nowhere', ...settings });

  it.each([
    ['is not there', {}, /^envoy was not found; install it .* set ENVOY_BINARY/],
    ['is not where it was said to be', { ENVOY_BINARY: '/nowhere/envoy' }, /^\/nowhere\/envoy was not found/],
    ['would have to speak TLS', { ENVOY_BINARY: process.execPath, TLS_CERT_FILE: 'a', TLS_KEY_FILE: 'b' }, /expected no TLS_CERT_FILE/],
  ])('is refused where it %s', (_name, settings, message) => {
    expect(() => checkEnvoy(config({ WITH_ENVOY: '1', ...settings }))).toThrow(message);
  });

  it('is asked for by nobody else', () => {
    expect(() => checkEnvoy(config({}))).not.toThrow();
    expect(() => checkEnvoy(config({ WITH_ENVOY: '1', PROCESSES: 'api' }))).not.toThrow();
  });
});
