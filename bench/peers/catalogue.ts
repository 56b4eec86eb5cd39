import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Peer, Place, Settings } from './peer';

const MODEL = 'encoder-small';
const ONNX_RUNTIME = ['onnxruntime==1.30.0', 'numpy==2.4.6'];

const python = (script: string) => (place: Place) => ({
  program: join(place.folder, 'bin', 'python'),
  args: [join('bench', 'peers', 'servers', script)],
  environment: environmentOf(place),
});

const environmentOf = ({ port, modelDir, settings }: Place): Record<string, string> => ({
  PEER_PORT: String(port),
  PEER_MODEL: join(modelDir, 'model.onnx'),
  PEER_SETTINGS: JSON.stringify(settings),
});

/** Those that have no form of their own. */
const plainJson = {
  path: '/predict',
  bodyOf: (ids: number[]) => ({ ids }),
  vectorOf: (answer: { embedding: number[] }) => answer.embedding,
};

/** Without limits no request of the bench is given up or refused. */
const onTwoCpus = (workers: number, rowsMax: number, waitMs: number, limits = { timeoutMs: 30_000, requestsMax: 100_000 }): Settings => ({
  workers,
  threads: 2 / workers,
  rowsMax,
  waitMs,
  ...limits,
});

/** For callers that wait for 500 ms: a third of a second's rows, and what is left of the time after that is given up. */
const LIMITS = { timeoutMs: 450, requestsMax: 48 };

/** Rows one by one with limits; without limits; a worker a CPU with batches, as documentations have it; one worker with larger ones. */
const TRIED: Peer['settings'] = [onTwoCpus(2, 1, 0, LIMITS), onTwoCpus(2, 1, 0), onTwoCpus(2, 8, 5), onTwoCpus(1, 16, 10)];

const INTERLEAVE: Peer = {
  name: 'interleave',
  title: 'Interleave',
  packages: [],
  settings: [onTwoCpus(2, 32, 0)],
  command: ({ port, folder, modelDir }) => ({
    program: process.execPath,
    args: [join('bin', 'interleave.js'), 'up'],
    environment: {
      DATA_DIR: join(folder, 'data'),
      // Short enough for the names of Unix sockets.
      RUN_DIR: join(tmpdir(), 'il-peers'),
      MODELS_DIR: join(modelDir, '..'),
      HOST: '127.0.0.1',
      PORT: String(port),
      GRPC_PORT: String(port + 1),
      LOG_LEVEL: 'warn',
    },
  }),
  path: '/v1/embeddings',
  bodyOf: (ids) => ({ model: MODEL, input: ids }),
  vectorOf: (answer: { data: [{ embedding: number[] }] }) => answer.data[0].embedding,
};

const LITSERVE: Peer = {
  name: 'litserve',
  title: 'LitServe 0.2.19',
  packages: ['litserve==0.2.19', ...ONNX_RUNTIME],
  settings: TRIED,
  command: python('litserve_server.py'),
  ...plainJson,
};

const MOSEC: Peer = {
  name: 'mosec',
  title: 'Mosec 0.9.8',
  packages: ['mosec==0.9.8', ...ONNX_RUNTIME],
  settings: TRIED,
  command: python('mosec_server.py'),
  ...plainJson,
};

const TRITON: Peer = {
  name: 'triton',
  title: 'Triton 2.51 (pytriton 0.7.0)',
  packages: ['nvidia-pytriton==0.7.0', 'onnxruntime==1.30.0', 'numpy==1.26.4'],
  settings: TRIED,
  command: python('triton/serve.py'),
  path: '/v2/models/encoder/infer',
  bodyOf: (ids) => ({ inputs: [{ name: 'input_ids', datatype: 'INT64', shape: [1, ids.length], data: ids }] }),
  vectorOf: (answer: { outputs: [{ data: number[] }] }) => answer.outputs[0].data,
};

const RAY_SERVE: Peer = {
  name: 'ray',
  title: 'Ray Serve 2.60.0',
  packages: ['ray[serve]==2.60.0', ...ONNX_RUNTIME],
  // With limits nearly all of 32 callers are refused.
  settings: [onTwoCpus(2, 8, 5), onTwoCpus(2, 1, 0, LIMITS), onTwoCpus(2, 1, 0)],
  command: (place) => {
    const { environment, ...command } = python('ray_server.py')(place);
    return { ...command, environment: { ...environment, RAY_AUTH_MODE: 'disabled', RAY_USAGE_STATS_ENABLED: '0' } };
  },
  ...plainJson,
};

const BENTOML: Peer = {
  name: 'bentoml',
  title: 'BentoML 1.4.40',
  packages: ['bentoml==1.4.40', ...ONNX_RUNTIME],
  // It divides its limit by its workers, but connections do not divide evenly.
  settings: [onTwoCpus(2, 1, 0, { ...LIMITS, requestsMax: 96 }), ...TRIED],
  command: (place) => ({
    program: join(place.folder, 'bin', 'bentoml'),
    args: ['serve', 'bentoml_server:Service', '--working-dir', join('bench', 'peers', 'servers'), '--port', String(place.port)],
    environment: { ...environmentOf(place), BENTOML_HOST: '127.0.0.1', BENTOML_DO_NOT_TRACK: 'true' },
  }),
  path: '/predict',
  bodyOf: (ids) => ({ rows: [ids] }),
  vectorOf: ([embedding]: [number[]]) => embedding,
};

const node =
  (...script: string[]) =>
  (place: Place) => ({
    program: process.execPath,
    args: [join(__dirname, 'servers', ...script)],
    environment: environmentOf(place),
  });

const TRANSFORMERS: Peer = {
  name: 'transformers',
  title: 'transformers.js 4.3.1',
  packages: [],
  // Each process has the limit for itself.
  settings: [onTwoCpus(2, 1, 0, LIMITS), onTwoCpus(2, 1, 0, { ...LIMITS, requestsMax: 24 }), onTwoCpus(2, 1, 0)],
  command: node('transformers.js'),
  ...plainJson,
};

const BULLMQ: Peer = {
  name: 'bullmq',
  title: 'BullMQ 6.7.0 + onnxruntime-node 1.30.0',
  packages: [],
  settings: [onTwoCpus(2, 1, 0, LIMITS), onTwoCpus(2, 1, 0), onTwoCpus(1, 1, 0, LIMITS)],
  command: node('bullmq', 'main.js'),
  ...plainJson,
};

/** The first one is what the others are compared with. */
export const PEERS: [Peer, ...Peer[]] = [INTERLEAVE, TRITON, LITSERVE, MOSEC, RAY_SERVE, BENTOML, TRANSFORMERS, BULLMQ];

export function peerOf(name: string): Peer {
  const peer = PEERS.find((one) => one.name === name);
  if (peer === undefined) throw new Error(`expected a peer (${PEERS.map((one) => one.name).join(', ')}) but received ${name}`);
  return peer;
}
