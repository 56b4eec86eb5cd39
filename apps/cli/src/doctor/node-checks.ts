import { accessSync, constants, existsSync, mkdirSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { localUrl, runPaths, type Config } from '@app/config';
import { inspectTokenizers, scanRepository, type TokenizerReport } from '@app/models';
import { inspectAddon, inspectRuntime, type AddonReport } from '@app/native';
import { fetchStatus } from '@app/process';
import { broken, degraded, ok, type Finding } from './report';

const ADD_MODELS = '`make up` builds a demo model; docs/quickstart.md tells how to add one';
const GIB = 1024 ** 3;
const ANSWER_MS_MAX = 1000;

export function checkConfig({ configPath }: Config): Finding {
  return ok('configuration', configPath ?? 'defaults and environment (no interleave.yaml)');
}

export function checkDataDir({ dataDir, batch }: Config): Finding {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.W_OK);
  } catch (error) {
    return broken(
      'DATA_DIR',
      `${dataDir} is not writable: ${(error as Error).message}`,
      'change its owner or set DATA_DIR to another folder',
    );
  }
  const { bavail, bsize } = statfsSync(dataDir);
  const freeBytes = bavail * bsize;
  const detail = `${dataDir}, ${(freeBytes / GIB).toFixed(1)} GiB free`;
  return freeBytes >= batch.diskFreeBytesMin
    ? ok('DATA_DIR', detail)
    : degraded(
        'DATA_DIR',
        `${detail}, below batch.diskFreeBytesMin: uploads are refused and batches pause`,
        'free some space, or lower batch.diskFreeBytesMin',
      );
}

/** A port that is taken is fine when it is Interleave that answers there. */
export async function checkPort(config: Pick<Config, 'host' | 'port' | 'tls' | 'runDir'>): Promise<Finding> {
  const { host, port } = config;
  const subject = `port ${port}`;
  if (await canListen(host, port)) return ok(subject, `free on ${host}`);
  return (await isAnswering(config))
    ? ok(subject, 'a running server answers')
    : broken(subject, `taken on ${host} by another program`, 'stop that program or set PORT');
}

/** Whoever has it is taken for the node that answers at PORT. */
export async function checkGrpcPort(config: Pick<Config, 'host' | 'port' | 'grpcPort' | 'tls' | 'runDir'>): Promise<Finding> {
  const { host, grpcPort } = config;
  const subject = `gRPC port ${grpcPort}`;
  if (await canListen(host, grpcPort)) return ok(subject, `free on ${host}`);
  return (await isAnswering(config))
    ? ok(subject, 'taken, as by a running server')
    : broken(subject, `taken on ${host} by another program`, 'stop that program or set GRPC_PORT');
}

/** Over TLS the server may ask for a certificate that is not ours: there the API of this node says itself where it listens. */
async function isAnswering(config: Pick<Config, 'host' | 'port' | 'tls' | 'runDir'>): Promise<boolean> {
  try {
    if (config.tls === null) return (await fetch(`${localUrl(config)}/v2`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })).ok;
    const { url } = await fetchStatus('api', runPaths(config.runDir).statusSocket('api'), ANSWER_MS_MAX);
    return url !== null && Number(new URL(url).port) === config.port;
  } catch {
    return false;
  }
}

function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

/** Names what is not served; broken only when nothing is. */
export function checkModels({ modelsDir }: Pick<Config, 'modelsDir'>): Finding {
  if (!existsSync(modelsDir)) return degraded('models', `${modelsDir} does not exist`, ADD_MODELS);
  const entries = scanRepository(modelsDir);
  const refused = entries.filter(({ manifest }) => manifest === null);
  const detail = `${entries.length - refused.length} in ${modelsDir}`;
  if (entries.length === 0) return degraded('models', detail, ADD_MODELS);
  if (refused.length === 0) return ok('models', detail);
  return degraded(
    'models',
    `${detail}; not served: ${refused.map(({ name, version, reason }) => `${name} ${version} (${reason})`).join('; ')}`,
    'correct these folders (docs/quickstart.md)',
  );
}

/** Loads the tokenizer of each text model. */
export async function checkTokenizers({ modelsDir }: Pick<Config, 'modelsDir'>): Promise<Finding> {
  return judgeTokenizers(existsSync(modelsDir) ? await inspectTokenizers(scanRepository(modelsDir)) : []);
}

export function judgeTokenizers(reports: readonly TokenizerReport[]): Finding {
  const failed = reports.filter(({ error }) => error !== null);
  const fast = reports.filter(({ hasFastPath }) => hasFastPath).length;
  const detail = `${reports.length - failed.length} of ${reports.length} load, ${fast} of them with the fast path for short texts`;
  if (failed.length === 0) return ok('tokenizers', detail);
  return degraded(
    'tokenizers',
    `${detail}; ${failed.map(({ model, error }) => `${model}: ${error}`).join('; ')}`,
    'correct these tokenizer.json files, or set task: tensor in model.yaml',
  );
}

export function checkAddon(): Finding {
  try {
    return judgeAddon(inspectAddon());
  } catch (error) {
    return broken('addon', (error as Error).message, 'run `make build`');
  }
}

export function judgeAddon({ path, builtMs, changedMs }: AddonReport): Finding {
  const built = `${path}, built ${new Date(builtMs).toISOString()}`;
  return changedMs !== null && changedMs > builtMs
    ? degraded('addon', `${built}, older than its sources`, 'run `make build`')
    : ok('addon', built);
}

/** The addon and the library it loads, checked as a worker checks them. */
export function checkRuntime({ ortLibraryPath }: Pick<Config, 'ortLibraryPath'>): Finding {
  try {
    const { path, version, providers } = inspectRuntime(ortLibraryPath);
    return ok('ONNX Runtime', `${version}, ${path}; ${providers.join(', ')}`);
  } catch (error) {
    return broken('ONNX Runtime', (error as Error).message, 'run `make build` again, or correct ORT_LIBRARY');
  }
}
