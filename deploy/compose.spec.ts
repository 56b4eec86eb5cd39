import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { asksWho } from '@app/access';
import { loadConfig } from '@app/config';

interface Service {
  volumes?: string[];
  environment?: Record<string, string>;
  entrypoint?: string[];
  build?: { dockerfile: string };
  image: string;
  stop_grace_period?: string;
  depends_on?: string[];
}

const root = join(__dirname, '..');
const readYaml = <T>(path: string) => parse(readFileSync(join(root, path), 'utf8'), { merge: true }) as T;
const compose = readYaml<{
  services: Record<'redis' | 'api' | 'scheduler' | 'prometheus' | 'grafana', Service>;
  volumes: Record<string, unknown>;
}>('docker-compose.yml');
const services = Object.entries(compose.services);

describe('docker-compose.yml', () => {
  it('has the five services of a node', () => {
    expect(services.map(([name]) => name).sort()).toEqual(['api', 'grafana', 'prometheus', 'redis', 'scheduler']);
  });

  it('mounts only volumes that it declares and files that are there', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes);
    for (const source of mounts.filter((mount) => !mount.startsWith('$')).map((mount) => mount.split(':')[0] ?? '')) {
      if (source.startsWith('.')) expect(existsSync(join(root, source))).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });

  it('lets api and scheduler meet: one image and user, the same sockets, files and models', () => {
    const { api, scheduler } = compose.services;
    expect(api.image).toBe(scheduler.image);
    expect(api.volumes).toEqual(scheduler.volumes);
    for (const service of [api, scheduler]) expect(service).not.toHaveProperty('user');
  });

  it('keeps workers and runner in one container, without a quota on CPU time', () => {
    const { scheduler } = compose.services;
    expect(loadConfig({ ...scheduler.environment, DATA_DIR: '/data', LOG_LEVEL: 'info' }).processes).toEqual(['worker', 'runner']);
    for (const key of ['cpus', 'deploy', 'cpu_quota', 'cpu_shares']) expect(scheduler).not.toHaveProperty(key);
  });

  it('gives every process of the node a configuration that is valid', () => {
    for (const name of ['api', 'scheduler'] as const) {
      const config = loadConfig({ ...imageEnvironment(), ...withDefaults(compose.services[name].environment) });
      expect(config).toMatchObject({
        redisUrl: 'redis://redis:6379',
        runDir: '/run/interleave',
        dataDir: '/data',
        modelsDir: '/models',
        host: '0.0.0.0',
      });
    }
  });

  it('asks for no keys where the port is published on loopback, and asks for them elsewhere', () => {
    const { environment } = compose.services.api;
    const config = loadConfig({ ...imageEnvironment(), ...withDefaults(environment) });
    expect([environment?.['PUBLISHED_HOST'], asksWho(config, false)]).toEqual(['${HOST:-127.0.0.1}', false]);
    expect(asksWho({ ...config, publishedHost: '0.0.0.0' }, false)).toBe(true);
  });

  it('waits longer for a stop than a drain takes', () => {
    for (const name of ['api', 'scheduler'] as const) expect(parseInt(compose.services[name].stop_grace_period ?? '0')).toBeGreaterThan(35);
  });

  it('starts programs that are built into the image', () => {
    const [, main = ''] = compose.services.api.entrypoint ?? [];
    expect(existsSync(join(root, main.replace(/^dist\//, '').replace(/\.js$/, '.ts')))).toBe(true);
    expect(existsSync(join(root, compose.services.api.build?.dockerfile ?? ''))).toBe(true);
  });

  it('has no benches, tools or tests in the image', () => {
    const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
    expect([...dockerfile.matchAll(/^COPY --from=build \/app\/dist(\S*) /gm)].map(([, folder]) => folder)).toEqual(['/apps', '/libs']);
  });

  it('keeps from the image what is built on this machine, not the sources that it is built from', () => {
    const patterns = readFileSync(join(root, '.dockerignore'), 'utf8').trim().split('\n');
    // Docker's patterns, of which only * is used: it stops at a slash, and a folder's content goes with it.
    const isIgnored = (path: string) =>
      patterns.some((pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(/|$)`).test(path));
    const sources = [
      'package-lock.json',
      '.npmrc',
      'nest-cli.json',
      'libs/native/build.sh',
      'libs/native/CMakeLists.txt',
      'tools/model-builder/src/main.ts',
    ];
    expect(sources.filter((path) => !existsSync(join(root, path)) || isIgnored(path))).toEqual([]);
    expect(['node_modules/x', 'dist/x', 'libs/native/build/x', 'libs/native/build-tsan/x'].filter((path) => !isIgnored(path))).toEqual([]);
  });
});

/** What `${NAME:-default}` is where nothing is set. */
function withDefaults(environment: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, value.replace(/\$\{\w+:-([^}]*)\}/g, '$1')]));
}

/** `ENV` of the image. */
function imageEnvironment(): Record<string, string> {
  const line = /^ENV (.*)$/m.exec(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8'))?.[1] ?? '';
  return Object.fromEntries(line.split(' ').map((pair) => pair.split('=') as [string, string]));
}
