import { EXECUTOR_THREADS_MAX, LANES, LOG_LEVELS } from '@app/contracts';
import { z } from 'zod';
import { ACCESS_MODES, accessSchema } from './access-schema';
import { tracingVariables } from './tracing';
import { webhooksSchema } from './webhook-schema';

const positiveInt = z.number().int().positive();
const MiB = 1024 * 1024;

/** Linux has at most 8192 CPUs. */
const CPU_MAX = 8191;
const CPU_LIST = /^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/;
/** The scheme of a browser's extension is not http; its URL has no origin by the standard. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/i;
const isOrigin = (text: string): boolean => ORIGIN.test(text) && URL.canParse(text);
const originOf = (text: string): string => (/^https?:/i.test(text) ? new URL(text).origin : text.toLowerCase());

const UNIT_BYTES: Record<string, number> = { MiB, GiB: 1024 * MiB };

/** For example "512MiB" or "4GiB"; becomes bytes. */
export const memorySize = z
  .string()
  .regex(/^[1-9]\d{0,6}(MiB|GiB)$/, 'expected a whole number of MiB or GiB, as in "4GiB"')
  .transform((text) => Number.parseInt(text, 10) * (UNIT_BYTES[text.slice(-3)] ?? 1));

/** As a browser sends them: in lower case, a port in an origin only where it is not the usual one of its scheme. */
const hostName = z
  .string()
  .toLowerCase()
  .regex(
    /^(\*|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|[0-9a-f]*:[0-9a-f:.]+)$/,
    'expected a name or address without scheme and port, as in "models.example.com"',
  );
const webOrigin = z
  .string()
  .refine(
    (text) => text === '*' || isOrigin(text),
    'expected scheme, name and port only, as in "https://app.example.com" or "http://localhost:3000"',
  )
  .transform((text) => (text === '*' ? text : originOf(text)));

const GPU_FORM = 'expected a number or a UUID as nvidia-smi -L shows, "GPU-…"';
const CPUS_FORM = 'expected a list as in "0-3,8" or [0, 1]';

/** The GPU of a partition: one MIG instance for each lane where the device has them, else the device. */
const gpuSchema = z.strictObject({
  /** Number as nvidia-smi counts, or the device's UUID. */
  device: z.union([z.number().int().nonnegative().max(1023), z.string().regex(/^GPU-[0-9a-f-]{36}$/, GPU_FORM)], GPU_FORM),
  /** MIG instances by position in `nvidia-smi -L`, one for each lane in the order realtime, batch; default: the first free ones. */
  instances: z.array(z.number().int().nonnegative().max(15)).min(1).max(2).optional(),
  /** GPU memory for each worker; default where the lanes share a device: 45 % of it, else no limit. */
  memory: memorySize.optional(),
  /** Share of the multiprocessors that the batch lane may use under MPS. */
  batchPercent: z.number().int().min(1).max(100).default(50),
  /** A libonnxruntime.so with the CUDA provider; default: ORT_LIBRARY. */
  ortLibrary: z.string().startsWith('/', 'expected an absolute path').optional(),
});

const partitionSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'lower-case letters, digits and "-", at most 32'),
  /** Numbers, or the kernel's list format as in "0-3,8". */
  cpus: z.union([z.array(z.number().int().nonnegative().max(CPU_MAX)).min(1), z.string().max(4096).regex(CPU_LIST, CPUS_FORM)], CPUS_FORM),
  class: z.enum(['reserved', 'burstable']).default('burstable'),
  /** Default: the real-time lane, and in a burstable partition the batch lane too. */
  lanes: z.array(z.enum(LANES)).min(1).optional(),
  /** Memory of all workers of the partition together. */
  memory: memorySize.optional(),
  /** Names or tags of models; default: every model that no other partition with the lane lists. */
  models: z.array(z.string().min(1)).min(1).max(1024).optional(),
  /** For models with `device: gpu`, and only those. */
  gpu: gpuSchema.optional(),
  /** Batch executors may run on the hyper-thread siblings of reserved cores. */
  batchBesideReserved: z.boolean().default(false),
});

/** Limits of one lane's workers. The token cap is what memory allows: how much a run holds is decided by its measured cost. */
const laneSchema = z.strictObject({
  runRowsMax: positiveInt.max(4096).default(32),
  runTokensMax: positiveInt.max(1_048_576).default(4096),
  queueItemsMax: positiveInt.max(16_384).default(1024),
  /** Memory between a process and a worker; what no tensor has touched yet costs nothing. */
  channelBytes: positiveInt
    .min(4 * MiB)
    .max(4096 * MiB)
    .default(256 * MiB),
  runTimeoutMs: positiveInt.default(30_000),
  /** Threads of one run, on neighbouring CPUs, of models that name none. */
  executorThreads: positiveInt.max(EXECUTOR_THREADS_MAX).default(1),
});

const path = z.string().min(1).max(4096);

/** How the models of MODELS_DIR change while the node serves. */
const repositorySchema = z
  .strictObject({
    /** `watch`: the node follows the folder. `explicit`: models are loaded and unloaded by command. `none`: as at the start. */
    mode: z.enum(['watch', 'explicit', 'none']).default('watch'),
    /** Mode `explicit`: names of the models that are loaded at the start; "*": all. */
    load: z.array(z.string().min(1).max(512)).max(1024).default([]),
    /** The folder is looked at this often, beside the notifications of the file system. */
    pollMs: positiveInt.min(100).max(3_600_000).default(1000),
    /** Most bytes of files of the models that are loaded in one lane; those not used for longest are unloaded. Default: no limit. */
    memoryMax: memorySize.optional(),
    /** A request for a model that is not loaded waits this long at most. */
    loadWaitMs: z.int().min(0).max(600_000).default(10_000),
  })
  .refine(({ mode, load }) => mode === 'explicit' || load.length === 0, 'expected load with "mode: explicit" only');

/** PEM files. */
const tlsSchema = z.strictObject({
  /** The certificate, then those of its issuers. */
  certFile: path.optional(),
  keyFile: path.optional(),
  /** With it callers must show a certificate that one of these issued. */
  clientCaFile: path.optional(),
});

/** `interleave.yaml`. Every key has a default; an unknown key is an error. */
export const fileSchema = z.strictObject({
  partitions: z.array(partitionSchema).max(64).default([]),
  realtime: laneSchema
    .extend({
      /** Twice the largest request by default. */
      queueItemsMax: positiveInt.max(16_384).default(4096),
      timeoutMs: positiveInt.max(3_600_000).default(10_000),
      /** Idle CPUs poll instead of sleeping for this long after a live request; 0: they may always sleep. */
      awakeMs: z.int().min(0).max(60_000).default(50),
    })
    .prefault({}),
  batch: laneSchema
    .extend({
      /** Most rows of a chunk; fewer where they are worth 3 s of executor time. */
      chunkRows: positiveInt.max(8192).default(8192),
      /** Chunks a runner works on at once, and chunks of one batch that wait in Redis. */
      chunkConcurrency: positiveInt.max(64).default(8),
      chunksQueuedMax: positiveInt.max(1024).default(16),
      fileBytesMax: positiveInt.default(8 * 1024 * MiB),
      rowsMax: positiveInt.default(10_000_000),
      rowBytesMax: positiveInt.default(4 * MiB),
      /** Folders of which batches may read files by `file://`; default: none. */
      inputRoots: z
        .array(path.refine((folder) => folder.startsWith('/'), 'expected an absolute path'))
        .max(64)
        .default([]),
      /** Buckets of which batches may read objects by `s3://`; default: none. */
      inputBuckets: z
        .array(z.string().regex(/^[a-z0-9][a-z0-9.-]{1,62}$/, 'expected the name of a bucket'))
        .max(64)
        .default([]),
      /** Share of its executors' time that the batch lane keeps, however far live requests are from their goal. */
      floorShare: z.number().min(0.001).max(1).default(0.02),
      /** Share of the one-second slots with live and batch traffic in which the batch lane is held off, to see what it costs; 0: none. */
      holdOffShare: z.number().min(0).max(0.5).default(0.02),
      /** Kept free on the disk of DATA_DIR: an upload is refused, a running batch pauses below it. */
      diskFreeBytesMin: z
        .number()
        .int()
        .nonnegative()
        .default(256 * MiB),
      /** What is removed by itself. */
      retention: z
        .strictObject({
          /** Life of an uploaded file for which its sender names none. */
          filesDays: positiveInt.max(3650).default(30),
          /** Batches that have been over for so long, with their outputs; default: kept until deleted. */
          batchesDays: positiveInt.max(3650).optional(),
        })
        .prefault({}),
    })
    .prefault({}),
  access: accessSchema,
  repository: repositorySchema.prefault({}),
  calibration: z
    .strictObject({
      /** Executor time spent on measuring what a model's runs cost, once for each model file and machine; 0: nothing is measured. */
      budgetMs: z.number().int().nonnegative().max(3_600_000).default(20_000),
    })
    .prefault({}),
  http: z
    .strictObject({
      /** More are closed as they come. */
      connectionsMax: positiveInt.max(1_000_000).default(8192),
      bodyBytesMax: positiveInt.default(64 * MiB),
      /** Bounds on JSON before it is parsed, because that holds the event loop; libs/protocols/src/json-bounds.ts has the times. */
      jsonBytesMax: positiveInt.max(64 * MiB).default(8 * MiB),
      /** Numbers, strings, literals, arrays and objects. */
      jsonValuesMax: positiveInt.max(4_194_304).default(200_000),
      jsonStringsMax: positiveInt.max(1_048_576).default(32_768),
      jsonKeysMax: positiveInt.max(1_048_576).default(10_000),
      jsonDepthMax: positiveInt.max(512).default(64),
      /** Callers on this machine may pass tensors in POSIX shared memory (Triton's extension). */
      sharedMemory: z.boolean().default(false),
      /** Shorter answers are not compressed, whatever the caller accepts. */
      compressBytesMin: positiveInt.default(16_384),
      requestItemsMax: positiveInt.max(16_384).default(2048),
      /** Live requests that are parsed and tokenized at one moment. */
      preparingRequestsMax: positiveInt.max(65_536).default(512),
      /** Names beside localhost and HOST that callers may use for this node; "*": any. */
      allowedHosts: z.array(hostName).max(256).default([]),
      /** Web sites whose pages may call this node from a browser, as in "https://app.example.com"; "*": any. */
      allowedOrigins: z.array(webOrigin).max(256).default([]),
    })
    .prefault({}),
  /** When live requests to a model version are refused at once because the last ones failed for no fault of theirs. */
  breaker: z
    .strictObject({
      /** Requests of a model version that are looked at: the last so many. */
      callsMax: positiveInt.max(1000).default(20),
      /** With fewer it stays closed. */
      callsMin: positiveInt.max(1000).default(10),
      /** It opens when more than this share of them failed. */
      failureShare: z.number().min(0.01).max(0.99).default(0.5),
      /** Until one request is let through to try; doubled each time that fails, up to `openMsMax`. */
      openMs: positiveInt.max(3_600_000).default(1000),
      openMsMax: positiveInt.max(3_600_000).default(30_000),
    })
    .refine(({ callsMin, callsMax }) => callsMin <= callsMax, 'expected callsMin of at most callsMax')
    .refine(({ openMs, openMsMax }) => openMs <= openMsMax, 'expected openMs of at most openMsMax')
    .prefault({}),
  /** Of all models with `cache` in their model.yaml. */
  responseCache: z.strictObject({ bytesMax: memorySize.prefault('256MiB') }).prefault({}),
  /** Default: no TLS. */
  tls: tlsSchema.prefault({}),
  webhooks: webhooksSchema,
  queueBoard: z
    .strictObject({
      /** Operators may retry, promote and clean jobs and pause queues at /admin/queues, which then stand still on all nodes of the fleet. */
      actions: z.boolean().default(false),
    })
    .prefault({}),
});
export type FileConfig = z.infer<typeof fileSchema>;

/** The kinds of processes that a scheduler can look after. */
export const PROCESS_KINDS = ['redis', 'worker', 'runner', 'api', 'envoy'] as const;
export type ProcessKind = (typeof PROCESS_KINDS)[number];

const processKinds = z
  .string()
  .transform((text) => text.split(',').map((kind) => kind.trim()))
  .pipe(z.array(z.enum(PROCESS_KINDS)).min(1));

/** Names a node in Redis, in metrics and to people. */
export const NODE_ID = /^[a-z0-9.-]{1,64}$/;
export const NODE_ADDRESS = /^([A-Za-z0-9_.-]{1,253}|[0-9a-fA-F:.]{2,45})$/;

const SENTINELS_MAX = 16;
const SENTINEL_PORT = 26_379;
const SENTINEL = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?$/;
const sentinelHosts = z.string().transform((text, context) => {
  const hosts = text.split(',').map((entry) => {
    const [, ip6, name, given] = SENTINEL.exec(entry.trim()) ?? [];
    return { host: ip6 ?? name ?? '', port: given === undefined ? SENTINEL_PORT : Number(given) };
  });
  if (hosts.length <= SENTINELS_MAX && hosts.every(({ host, port: at }) => host !== '' && at >= 1 && at <= 65_535)) return hosts;
  context.addIssue({
    code: 'custom',
    message: `expected at most ${SENTINELS_MAX} of host:port with commas between them but received ${text}`,
  });
  return z.NEVER;
});

const port = z.coerce.number().int().min(0).max(65_535);

/** The environment variables that are read; all others are ignored. */
export const environmentSchema = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: port.default(8080),
  /** The address under which a container's port is published; decides, in place of HOST, whether other machines reach the node. */
  PUBLISHED_HOST: z.string().min(1).optional(),
  /** Replaces `access.mode` of the file. */
  ACCESS: z.enum(ACCESS_MODES).optional(),
  GRPC_PORT: port.default(8081),
  DATA_DIR: z.string().min(1).default('./data'),
  MODELS_DIR: z.string().min(1).default('./models'),
  /** Sockets and the placement; short, because a Unix socket path has at most 107 bytes. */
  RUN_DIR: z.string().min(1).optional(),
  REDIS_URL: z
    .string()
    .regex(/^(rediss?|unix):\/\//, 'redis://, rediss:// or unix://')
    .optional(),
  /** Where files, manifests and results are; default: DATA_DIR. */
  STORAGE_URL: z
    .string()
    .regex(
      /^(s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9_.-]+)*\/?|file:\/\/\/.+)$/,
      's3://bucket, s3://bucket/prefix or file:///path',
    )
    .optional(),
  /** These four are the AWS SDK's, which reads others by itself. */
  AWS_ENDPOINT_URL_S3: z.url().optional(),
  AWS_ENDPOINT_URL: z.url().optional(),
  AWS_REGION: z.string().min(1).optional(),
  AWS_DEFAULT_REGION: z.string().min(1).optional(),
  /** Comma-separated addresses of the sentinels that know where Redis is. */
  REDIS_SENTINELS: sentinelHosts.optional(),
  /** The name under which they watch it. */
  REDIS_SENTINEL_NAME: z.string().min(1).max(256).default('mymaster'),
  /** Of the sentinels themselves; that of Redis is in REDIS_URL. */
  REDIS_SENTINEL_PASSWORD: z.string().min(1).optional(),
  /** PEM; authorities to trust in place of the system's, for rediss://. */
  REDIS_TLS_CA_FILE: path.optional(),
  /** Nodes that share a Redis and this name are one fleet. */
  FLEET_NAME: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, 'lower-case letters, digits and "-", at most 32')
    .default('default'),
  /** A file with an API key that the other nodes know, for steps of graphs that run there. */
  FLEET_KEY_FILE: path.optional(),
  /** PEM; authorities of the other nodes' certificates, in place of the system's. */
  FLEET_CA_FILE: path.optional(),
  NODE_ID: z.string().regex(NODE_ID, 'lower-case letters, digits, "." and "-", at most 64').optional(),
  /** Name or address at which others reach this node's ports; default: HOST, or an address of this machine where HOST is every address. */
  NODE_ADDRESS: z.string().regex(NODE_ADDRESS, 'expected a name or an address without scheme and port').optional(),
  /** The scheduler runs an Envoy beside this node; see `interleave up --with-envoy`. */
  WITH_ENVOY: z.enum(['0', '1']).default('0'),
  /** Where it listens, at HOST. */
  ENVOY_PORT: port.default(10_000),
  ENVOY_GRPC_PORT: port.default(10_001),
  /** A path; default: `envoy` in PATH. */
  ENVOY_BINARY: path.optional(),
  /** Milliseconds from "not ready" to refusing; default: 5000 where other nodes take the requests, else 0. */
  DRAIN_WAIT_MS: z.coerce.number().int().min(0).max(600_000).optional(),
  /** Milliseconds from the signal to the end of all processes but Redis. */
  DRAIN_TIMEOUT_MS: z.coerce.number().int().min(1).max(3_600_000).default(30_000),
  CONFIG: z.string().min(1).optional(),
  /** These three stand before `tls` in the file. */
  TLS_CERT_FILE: path.optional(),
  TLS_KEY_FILE: path.optional(),
  TLS_CLIENT_CA_FILE: path.optional(),
  ORT_LIBRARY: z.string().min(1).optional(),
  /** Comma-separated: what this node's scheduler starts; the others run elsewhere (containers of their own). */
  PROCESSES: processKinds.default([...PROCESS_KINDS]),
  /** Where programs such as redis-server are looked for. */
  PATH: z.string().default('/usr/local/bin:/usr/bin:/bin'),
  /** Set to 1 by the scheduler for the processes that it looks after: it alone decides when they end. */
  INTERLEAVE_SUPERVISED: z.enum(['0', '1']).default('0'),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  ...tracingVariables,
});
