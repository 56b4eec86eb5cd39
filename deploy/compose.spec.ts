import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { asksWho } from '@app/access';
import { loadConfig } from '@app/config';

interface Service {
  volumes?: string[];
  environment?: Record<string, string>;
  entrypoint?: string[];
  command?: string[];
  build?: { dockerfile: string };
  image: string;
  profiles?: string[];
  ports?: string[];
  cpuset?: string;
  healthcheck?: { test: string[] };
  stop_grace_period?: string;
  depends_on?: string[] | Record<string, unknown>;
}

const neededBy = ({ depends_on: needed = [] }: Service): string[] => (Array.isArray(needed) ? needed : Object.keys(needed));

const root = join(__dirname, '..');
const readYaml = <T>(path: string) => parse(readFileSync(join(root, path), 'utf8'), { merge: true }) as T;
const compose = readYaml<{
  services: Record<
    'redis' | 'api' | 'scheduler' | 'prometheus' | 'grafana' | 'node-1' | 'node-2' | 'envoy-config' | 'envoy' | 'store' | 'alloy' | 'loki',
    Service
  >;
  volumes: Record<string, unknown>;
}>('docker-compose.yml');
const services = Object.entries(compose.services);

describe('docker-compose.yml', () => {
  const named = (profile: string | undefined): string[] =>
    services.flatMap(([name, { profiles }]) => (profiles?.[0] === profile ? [name] : [])).sort();

  it('has the six services of a node, and those of a fleet and of logs on request only', () => {
    expect(named(undefined)).toEqual(['alertmanager', 'api', 'grafana', 'prometheus', 'redis', 'scheduler']);
    expect(named('logs')).toEqual(['alloy', 'loki']);
    expect(named('fleet')).toEqual(['envoy', 'envoy-config', 'node-1', 'node-2', 'store']);
  });

  it('starts a whole fleet with Envoy, and nothing of the node beside it', () => {
    const started = new Set(['envoy']);
    for (const name of started) for (const needed of neededBy(compose.services[name as 'envoy'])) started.add(needed);
    expect([...started].sort()).toEqual(['envoy', 'envoy-config', 'node-1', 'node-2', 'redis', 'store']);
  });

  it('publishes no port of this machine twice, and all of them on loopback', () => {
    const ports = services.flatMap(([, { ports = [] }]) => ports.map((port) => port.replace(/\$\{\w+:-([^}]*)\}/g, '$1').split(':')));
    expect(ports.every(([host]) => host === '127.0.0.1')).toBe(true);
    expect(new Set(ports.map(([, published]) => published)).size).toBe(ports.length);
  });

  it('gives the nodes of the fleet one queue and one store, names and CPUs of their own, and no Redis to start', () => {
    const [first, second] = [compose.services['node-1'], compose.services['node-2']];
    const { NODE_ID: firstId, NODE_ADDRESS: firstAddress, ...shared } = first.environment ?? {};
    const { NODE_ID: secondId, NODE_ADDRESS: secondAddress, ...sharedBySecond } = second.environment ?? {};
    expect(shared).toEqual(sharedBySecond);
    expect(shared).toMatchObject({ REDIS_URL: 'redis://redis:6379', STORAGE_URL: expect.stringMatching(/^s3:/) as string });
    expect([firstId, firstAddress, secondId, secondAddress]).toEqual(['node-1', 'node-1', 'node-2', 'node-2']);
    expect(withDefaults({ cpus: first.cpuset ?? '' })).not.toEqual(withDefaults({ cpus: second.cpuset ?? '' }));
    for (const { command = [], environment } of [first, second]) {
      expect(command.slice(0, 2)).toEqual(['up', '--only']);
      const config = loadConfig({ ...imageEnvironment(), ...withDefaults(environment), PROCESSES: command[2] });
      expect(config).toMatchObject({ processes: ['worker', 'runner', 'api'], dataDir: '/data', runDir: '/run/interleave' });
    }
  });

  it('gives the store the keys that the nodes show, and the bucket that they ask for', () => {
    const { store, 'node-1': node } = compose.services;
    expect(store.environment?.['ROOT_ACCESS_KEY']).toBe(node.environment?.['AWS_ACCESS_KEY_ID']);
    expect(store.environment?.['ROOT_SECRET_KEY']).toBe(node.environment?.['AWS_SECRET_ACCESS_KEY']);
    const bucket = new URL(node.environment?.['STORAGE_URL'] ?? '').hostname;
    expect(readFileSync(join(root, 'deploy/store/Dockerfile'), 'utf8')).toContain(`mkdir -p /data/${bucket} `);
  });

  it('checks the health of every container of a node by a process that is in it', () => {
    const image = /^HEALTHCHECK .*CMD (.*)$/m.exec(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8'))?.[1] ?? '[]';
    expect(JSON.parse(image)).toEqual(['node', 'bin/health.cjs', 'api', '--ready']);
    expect(compose.services.scheduler.healthcheck?.test).toEqual(['CMD', 'node', 'bin/health.cjs', 'scheduler']);
    for (const name of ['api', 'node-1', 'node-2'] as const) expect(compose.services[name]).not.toHaveProperty('healthcheck');
  });

  it('gives Docker’s socket to the collector of logs only, to be read', () => {
    const mounted = services.filter(([, { volumes = [] }]) => volumes.some((volume) => volume.includes('docker.sock')));
    expect(mounted.map(([name]) => name)).toEqual(['alloy']);
    expect(compose.services.alloy.volumes).toContain('/var/run/docker.sock:/var/run/docker.sock:ro');
  });

  it('sends logs to the Loki that it starts, and few labels with them', () => {
    const alloy = readFileSync(join(root, 'deploy/alloy/config.alloy'), 'utf8');
    const loki = readYaml<{ server: { http_listen_port: number }; limits_config: { max_label_names_per_series: number } }>(
      'deploy/loki/loki.yml',
    );
    expect(compose.services.alloy.environment?.['LOKI_URL']).toBe(`http://loki:${loki.server.http_listen_port}/loki/api/v1/push`);
    expect(/stage\.labels \{\s*values = \{([^}]*)\}/.exec(alloy)?.[1]?.match(/\w+(?= =)/g)).toEqual(['level', 'process']);
    const lines = (text: string): string => text.slice(text.indexOf('loki.process "lines"'));
    expect(lines(readFileSync(join(root, 'deploy/alloy/kubernetes.alloy'), 'utf8'))).toBe(lines(alloy));
    expect(loki.limits_config.max_label_names_per_series).toBeGreaterThanOrEqual(4);
  });

  it('mounts only volumes that it declares and files that are there', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes);
    // Neither anonymous volumes, which are a path in the container, nor what a variable names.
    for (const source of mounts.filter((mount) => !/^[$/]/.test(mount)).map((mount) => mount.split(':')[0] ?? '')) {
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
    const grace = (name: keyof typeof compose.services): number => parseInt(compose.services[name].stop_grace_period ?? '0');
    for (const name of ['api', 'scheduler'] as const) expect(grace(name)).toBeGreaterThan(35);
    for (const name of ['node-1', 'node-2'] as const)
      expect(grace(name)).toBeGreaterThan(35 + Number(compose.services[name].environment?.['DRAIN_WAIT_MS']) / 1000);
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
    // Docker's patterns, of which only * and ! are used: * stops at a slash, a folder's content goes with it, the last match counts.
    const matches = (pattern: string, path: string) =>
      new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(/|$)`).test(path);
    const isIgnored = (path: string) => {
      const last = patterns.findLast((pattern) => matches(pattern.replace(/^!/, ''), path));
      return last !== undefined && !last.startsWith('!');
    };
    const sources = [
      'package-lock.json',
      '.npmrc',
      'tools/build.mjs',
      'libs/native/build.sh',
      'libs/native/CMakeLists.txt',
      'tools/model-builder/src/main.ts',
      'models/langid/1/model.onnx',
      'deploy/health.cjs',
    ];
    expect(sources.filter((path) => !existsSync(join(root, path)) || isIgnored(path))).toEqual([]);
    expect(
      ['node_modules/x', 'dist/x', 'models/own/1/model.onnx', 'libs/native/build/x', 'libs/native/build-tsan/x'].filter(
        (path) => !isIgnored(path),
      ),
    ).toEqual([]);
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
