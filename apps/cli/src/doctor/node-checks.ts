import { accessSync, constants, existsSync, mkdirSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Config } from '@app/config';
import { broken, degraded, ok, type Finding } from './report';

const GIB = 1024 ** 3;

export function checkConfig({ configPath }: Config): Finding {
  return ok('configuration', configPath ?? 'defaults and environment (no interleave.yaml)');
}

export function checkDataDir({ dataDir, batch }: Config): Finding {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.W_OK);
  } catch (error) {
    return broken('DATA_DIR', `${dataDir} is not writable: ${(error as Error).message}`, 'change its owner or set DATA_DIR to another folder');
  }
  const { bavail, bsize } = statfsSync(dataDir);
  const freeBytes = bavail * bsize;
  const detail = `${dataDir}, ${(freeBytes / GIB).toFixed(1)} GiB free`;
  return freeBytes >= batch.diskFreeBytesMin
    ? ok('DATA_DIR', detail)
    : degraded('DATA_DIR', `${detail}, below batch.diskFreeBytesMin: uploads are refused and batches pause`, 'free some space, or lower batch.diskFreeBytesMin');
}

/** A port that is taken is fine when it is Interleave that answers there. */
export async function checkPort({ host, port }: Pick<Config, 'host' | 'port'>): Promise<Finding> {
  const subject = `port ${port}`;
  if (await canListen(host, port)) return ok(subject, `free on ${host}`);
  const answers = await fetch(`http://${host}:${port}/v2`, { signal: AbortSignal.timeout(1000) }).then(({ ok: fine }) => fine, () => false);
  return answers ? ok(subject, 'a running server answers') : broken(subject, `taken on ${host} by another program`, 'stop that program or set PORT');
}

function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

export function checkModelsDir({ modelsDir }: Config): Finding {
  return existsSync(modelsDir) ? ok('MODELS_DIR', modelsDir) : degraded('MODELS_DIR', `${modelsDir} does not exist`, '`make up` builds a demo model; docs/quickstart.md tells how to add one');
}
