import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runPaths, type Config } from '@app/config';
import type { Placement, WorkerPlan } from '@app/contracts';
import { findExecutable, REDIS_REMEDY, REDIS_SERVERS } from '@app/system';
import { envoySpec } from './envoy';
import { gpuEnvironment } from './gpu-environment';
import { HEARTBEAT_FD, heartbeatSlots } from './supervision/heartbeat-file';
import { GRPC_LISTEN_FD, LISTEN_FD, type ListeningSockets } from './supervision/listening-socket';
import { redisProbe, statusProbe } from './supervision/probes';
import type { ProcessSpec } from './supervision/process-spec';

/** The built applications; this file lies in dist/apps/scheduler/src. */
const APPS = join(__dirname, '..', '..');
/** JavaScript heap limits. The API's leaves room to parse one body of the largest size that is accepted. */
const RUNNER_HEAP_MIB = 200;
/**
 * Where objects were seen to survive, V8 makes the next ones old at once, those of requests and rows in flight among them. They are dead
 * with the answer, but what they name survives until the whole heap is collected.
 */
const NO_PRETENURING = '--no-allocation-site-pretenuring';
/**
 * The runner's garbage collection in one thread takes a quarter less CPU time a row, of CPUs that its workers need. The whole heap, whose
 * marking takes 45 ms, is collected once it has doubled: V8's own choice is after half of that, a third as many rows.
 */
const RUNNER_GC = [NO_PRETENURING, '--single-threaded-gc', '--heap-growing-percent=100'];
/** As large as all rows in flight: what is collected while they are would live on until the whole heap is. */
const RUNNER_YOUNG_MIB = 32;
const API_HEAP_MIB = 1024;
/** Half of the space for young objects: few collections while requests are answered, each about as long as a small one. */
const API_YOUNG_MIB = 32;
/**
 * Bytes of code that a function runs before V8 looks whether to optimize it. With V8's own 66 KiB that takes thousands of requests. From
 * Node.js 22 on V8 compiles with Maglev after 400 calls, and Node.js does not start with the option.
 */
const API_OPTIMIZE_BYTES = 4_000;
const OPTIMIZES_EARLY = Number(process.versions.node.split('.')[0]) >= 22;
/**
 * Blocks from this size on go back to the system when they are freed. glibc's own threshold rises up to 32 MiB with the
 * largest body it has seen, and what lies between smaller blocks then stays for good.
 */
const API_MALLOC = { MALLOC_MMAP_THRESHOLD_: String(1024 * 1024), MALLOC_TRIM_THRESHOLD_: String(4 * 1024 * 1024) };
/** The pinned SDK works with every Node.js that this project supports, and would warn of later ones at each start. */
const SDK_SETTINGS = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
/** Added to the nice value of what works for the batch lane: its tokenizing and channels give way to live executors (10) too. */
const BATCH_NICE = 15;
const TOKENIZER_THREADS_MAX = 4;

/** The second one is loaded and waits: it answers within milliseconds when the first one dies. */
export const API_IDS: readonly string[] = ['api-1', 'api-2'];

/**
 * The processes of this node in the order of starting, as far as this scheduler looks after them. The API processes accept
 * on the open `sockets`; null: this scheduler looks after none.
 */
export function processSpecs(config: Config, placement: Placement, sockets: ListeningSockets | null): ProcessSpec[] {
  const tokenizerThreads = String(Math.min(TOKENIZER_THREADS_MAX, new Set(placement.partitions.flatMap(({ cpus }) => cpus)).size));
  const specs = [
    ...(config.redisUrl === null ? [redisSpec(config)] : []),
    ...placement.workers.map((worker) => workerSpec(config, worker)),
    nodeSpec(config, {
      id: 'runner',
      kind: 'runner',
      main: 'runner/src/main.js',
      nodeOptions: [`--max-old-space-size=${RUNNER_HEAP_MIB}`, `--max-semi-space-size=${RUNNER_YOUNG_MIB}`, ...RUNNER_GC],
      nice: BATCH_NICE,
      environment: { UV_THREADPOOL_SIZE: '4', RAYON_NUM_THREADS: tokenizerThreads },
    }),
    ...(sockets === null ? [] : API_IDS.map((id) => apiSpec(config, id, sockets, tokenizerThreads))),
    ...(config.envoy === null ? [] : [envoySpec(config, config.envoy)]),
  ];
  return specs.filter(({ kind }) => config.processes.includes(kind));
}

function apiSpec(config: Config, id: string, sockets: ListeningSockets, tokenizerThreads: string): ProcessSpec {
  const spec = nodeSpec(config, {
    id,
    kind: 'api',
    main: 'api/src/main.js',
    args: ['--id', id, '--listen-fd', String(LISTEN_FD), '--grpc-listen-fd', String(GRPC_LISTEN_FD)],
    nodeOptions: [
      `--max-old-space-size=${API_HEAP_MIB}`,
      `--max-semi-space-size=${API_YOUNG_MIB}`,
      NO_PRETENURING,
      ...(OPTIMIZES_EARLY ? [] : [`--interrupt-budget=${API_OPTIMIZE_BYTES}`]),
    ],
    environment: { ...API_MALLOC, UV_THREADPOOL_SIZE: '4', RAYON_NUM_THREADS: tokenizerThreads },
  });
  return { ...spec, inheritedFds: [sockets.http, sockets.grpc] };
}

function workerSpec(config: Config, plan: WorkerPlan): ProcessSpec {
  const spec = nodeSpec(config, {
    id: plan.id,
    kind: 'worker',
    main: 'worker/src/main.js',
    nice: plan.lane === 'batch' ? BATCH_NICE : 0,
    args: ['--worker', plan.id, '--heartbeat-fd', String(HEARTBEAT_FD)],
    environment: { UV_THREADPOOL_SIZE: '2', ...gpuEnvironment(plan.gpu, plan.lane) },
  });
  // Models, and why one is refused, may change while workers run; a slot for each executor and each loader.
  const { models: _models, gpuRefusal: _refusal, ...told } = plan;
  return { ...spec, heartbeatSlots: heartbeatSlots(plan.cpus.length), fingerprint: `${spec.fingerprint}\n${JSON.stringify(told)}` };
}

interface NodeProcess {
  id: string;
  kind: ProcessSpec['kind'];
  /** Below the folder of the built applications. */
  main: string;
  args?: string[];
  nodeOptions?: string[];
  nice?: number;
  environment: Record<string, string>;
}

function nodeSpec(config: Config, { id, kind, main, args = [], nodeOptions = [], nice = 0, environment }: NodeProcess): ProcessSpec {
  const path = join(APPS, main);
  const line = [process.execPath, ...nodeOptions, path, ...args];
  // `nice` replaces itself by the program, so the pid is the program's; every thread inherits the value.
  const childSettings = {
    ...environment,
    ...(config.storage.kind === 'bucket' ? SDK_SETTINGS : {}),
    WITH_ENVOY: config.envoy === null ? '0' : '1',
    INTERLEAVE_SUPERVISED: '1',
  };
  const { searchPath: _path, processes: _kinds, warnings: _warnings, ...settings } = config;
  const [command = '', ...rest] = nice > 0 ? ['nice', '-n', String(nice), ...line] : line;
  return {
    id,
    kind,
    command: () => command,
    args: rest,
    ownSession: false,
    heartbeatSlots: null,
    inheritedFds: [],
    inherits: { settings: true, secrets: kind !== 'worker' },
    environment: childSettings,
    fingerprint: JSON.stringify({ line, nice, environment, settings, built: builtAt(path) }),
    probe: statusProbe(runPaths(config.runDir).statusSocket(id)),
  };
}

function redisSpec(config: Config): ProcessSpec {
  const dir = join(config.dataDir, 'redis');
  const args = [
    ...['--port', '0', '--unixsocket', config.privateRedisSocket, '--unixsocketperm', '700'],
    ...['--dir', dir, '--appendonly', 'yes', '--maxmemory-policy', 'noeviction', '--save', ''],
    ...['--daemonize', 'no', '--loglevel', 'warning', '--logfile', join(dir, 'redis.log')],
  ];
  return {
    id: 'redis',
    kind: 'redis',
    command: () => {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const path = findExecutable(REDIS_SERVERS, config.searchPath);
      if (path === null)
        throw new Error(`neither ${REDIS_SERVERS.join(' nor ')} was found; batches wait until there is one: ${REDIS_REMEDY}`);
      return path;
    },
    args,
    // Redis ends on the SIGINT of a Ctrl-C, while the runner still needs it.
    ownSession: true,
    heartbeatSlots: null,
    inheritedFds: [],
    inherits: { settings: false, secrets: false },
    environment: {},
    fingerprint: JSON.stringify(args),
    probe: redisProbe(config.privateRedisSocket),
  };
}

/** Tells a new build from an old one; an entry that is missing fails at its start, with a message of its own. */
function builtAt(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
}
