import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { externalEncoder } from '../../tools/model-builder/src/large-models';
import { writeModel } from '../../tools/model-builder/src/files';
import { buildModels } from '../../tools/model-builder/src/models';
import { freePort } from '../../test/support/stack';
import { median } from '../support/statistics';

/**
 * From `make up` with everything built to the first answer, and from the end of the copy of a new model to its first answer. The first
 * start of a data folder, whose costs are not measured yet, comes apart from the others.
 */
const STARTS = 5;
const MODEL = 'encoder-tiny';
/** About 100 MiB of weights. */
const NEW_MODEL = 'encoder-100';
const NEW_SHAPE = { layers: 8, width: 512, heads: 8, feedForward: 2048, vocabulary: 3000, positions: 512 };
const COPIES = 3;
/** Files count as they are once they stayed so for this long (apps/scheduler/src/repository/settling.ts). */
const SETTLE_MS = 500;
const LOOK_MS = 5;
const READY_MS_MAX = 60_000;
/** Between a start and the end of the node: costs are measured meanwhile. */
const REST_MS = 3_000;

interface Start {
  readyMs: number;
  answerMs: number;
}

class Node {
  private constructor(
    private readonly make: ChildProcess,
    private readonly url: string,
    private readonly startedMs: number,
  ) {}

  static async start(dir: string): Promise<Node> {
    const [port, grpcPort] = [await freePort(), await freePort()];
    const environment = {
      DATA_DIR: join(dir, 'data'),
      MODELS_DIR: join(dir, 'models'),
      HOST: '127.0.0.1',
      PORT: String(port),
      GRPC_PORT: String(grpcPort),
    };
    const startedMs = performance.now();
    const make = spawn('make', ['up'], { env: { ...process.env, ...environment }, stdio: 'ignore', detached: true });
    return new Node(make, `http://127.0.0.1:${port}`, startedMs);
  }

  async times(): Promise<Start> {
    await this.until(async () => (await fetch(`${this.url}/v2/health/ready`)).status === 200);
    const readyMs = performance.now() - this.startedMs;
    await this.until(() => this.answers(MODEL));
    return { readyMs, answerMs: performance.now() - this.startedMs };
  }

  async untilAnswers(model: string): Promise<void> {
    await this.until(() => this.answers(model));
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.make.once('exit', resolve));
    process.kill(-(this.make.pid ?? 0), 'SIGTERM');
    await ended;
  }

  private async answers(model: string): Promise<boolean> {
    const body = JSON.stringify({ model, input: [[5, 6, 7, 8]] });
    const response = await fetch(`${this.url}/v1/embeddings`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await response.text();
    return response.status === 200;
  }

  private async until(condition: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    while (!(await condition().catch(() => false))) {
      if (performance.now() > endMs) throw new Error(`the node at ${this.url} did not come to it within ${READY_MS_MAX / 1000} s`);
      await sleep(LOOK_MS);
    }
  }
}

async function main(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'il-startup-'));
  try {
    buildModels(join(dir, 'models'), [MODEL]);
    const starts: Start[] = [];
    for (let i = 0; i <= STARTS; i++) {
      const node = await Node.start(dir);
      starts.push(await node.times());
      await sleep(REST_MS);
      await node.stop();
    }
    const [first, ...warm] = starts;
    const newModelMs = await copies(dir);
    const results = {
      firstStart: first,
      warmStarts: warm,
      readyMs: median(warm.map(({ readyMs }) => readyMs)),
      answerMs: median(warm.map(({ answerMs }) => answerMs)),
      newModel: { bytes: folderBytes(join(dir, NEW_MODEL)), answerMs: newModelMs, withoutSettlingMs: median(newModelMs) - SETTLE_MS },
    };
    console.log(JSON.stringify(results, null, 2));
    const outDir = join(process.cwd(), 'bench', 'results');
    mkdirSync(outDir, { recursive: true });
    writeFileSync(join(outDir, 'startup.json'), `${JSON.stringify(results, null, 2)}\n`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** From the end of each copy to the first answer. Each copy has a name of its own. */
async function copies(dir: string): Promise<number[]> {
  writeModel(join(dir, NEW_MODEL), externalEncoder(NEW_MODEL, NEW_SHAPE), '');
  const node = await Node.start(dir);
  try {
    await node.times();
    const answerMs: number[] = [];
    for (let i = 0; i < COPIES; i++) {
      await sleep(REST_MS);
      const name = `${NEW_MODEL}-${i}`;
      cpSync(join(dir, NEW_MODEL), join(dir, 'models', name), { recursive: true });
      const copiedMs = performance.now();
      await node.untilAnswers(name);
      answerMs.push(performance.now() - copiedMs);
    }
    return answerMs;
  } finally {
    await node.stop();
  }
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
