import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '@app/config';
import {
  DATATYPES,
  EXECUTOR_THREADS_MAX,
  InterleaveError,
  type InferenceItem,
  type Lane,
  type ModelSignature,
  type TensorSpec,
} from '@app/contracts';
import { modelFileBytes, sha256OfWeights, type FileManifest } from '@app/models';
import { z } from 'zod';
import { CliError } from '../cli-error';
import { findModel, LocalNode, type LocalModel } from '../local-node';
import { ScratchRepository, versionFiles } from '../optimize/scratch-repository';
import { inScratchFolder } from '../scratch-folder';
import { pipelineName } from '../split/model-folders';
import { countsUpTo, type OutsideFacts, type ParallelFacts } from './cost-model';

/** Of each measurement the mean of so many runs counts, or of as many as this time holds. */
const RUNS_MIN = 3;
const RUNS_MAX = 60;
const MEASURE_MS = 2000;
/** Fitted by hand to rows of `bench/parallel` on two machines. */
const OUTSIDE: OutsideFacts = { idleCpus: 0.15, requestMs: 1, stepMs: 0.5, mibMs: 10 };

export interface RunShape {
  rows: number;
  length: number;
}

export interface MeasureRequest {
  config: Config;
  manifest: FileManifest;
  cpus: readonly number[];
  /** Default: as `LocalNode` has it. */
  lane?: Lane;
  /** Threads of a run that are measured besides 1, 2, 4 … and all; at most as many as CPUs. */
  width?: number;
  shape: RunShape;
  /** Of that shape; without it one is made up. */
  item?: InferenceItem;
  /** Told before each measurement, and what cannot be used. */
  onStep: (text: string) => void;
}

/** Runs the model on one thread, on more, and on all CPUs at once, each in a worker of its own; use it on an idle machine. */
export async function measureParallel(request: MeasureRequest): Promise<ParallelFacts> {
  const { manifest, cpus, width: wanted = 1, shape, onStep } = request;
  const split = await readSplit(request);
  return withFiles(request, async (modelsDir) => {
    const idle = new Map<number, number[]>();
    const busy: number[] = [];
    const widths = [...new Set([...countsUpTo(Math.min(cpus.length, EXECUTOR_THREADS_MAX)), wanted])].sort((a, b) => a - b);
    // There and back, so that a machine whose speed drifts meets all of them alike.
    for (const width of [...widths, ...[...widths].reverse()]) {
      onStep(`measuring on ${width} ${width === 1 ? 'thread, and on every CPU at once' : 'threads'}`);
      await withNode(request, modelsDir, { width, executors: width === 1 ? cpus.length : width }, async (running) => {
        idle.set(width, [...(idle.get(width) ?? []), await idleMs(running)]);
        if (width === 1) busy.push(await busyMs(running));
      });
    }
    return {
      cpus: cpus.length,
      rows: shape.rows,
      weightsBytes: modelFileBytes(manifest.modelPath),
      widths: [...idle].map(([width, ms]) => ({ width, ms: meanOf(ms) })),
      allBusyMs: meanOf(busy),
      split,
      outside: OUTSIDE,
    };
  });
}

/** A folder that has only this version of the model. */
async function withFiles<T>({ config, manifest }: MeasureRequest, use: (modelsDir: string) => Promise<T>): Promise<T> {
  return inScratchFolder('parallel', (folder) => {
    const files = versionFiles(config.modelsDir, manifest.name, manifest.version, manifest.modelPath);
    return use(new ScratchRepository(join(folder, 'models'), manifest.name, files).modelsDir);
  });
}

interface Running {
  node: LocalNode;
  model: LocalModel;
  item: InferenceItem;
  executors: number;
}

async function withNode<T>(
  { config, manifest, cpus, lane, shape, item }: MeasureRequest,
  modelsDir: string,
  { width, executors }: { width: number; executors: number },
  measure: (running: Running) => Promise<T>,
): Promise<T> {
  const node = await LocalNode.start({
    config,
    modelsDir,
    cpuSets: [{ cpus: cpus.slice(-executors), models: null }],
    ...(lane === undefined ? {} : { lane }),
    overrides: { executorThreads: width, runRowsMax: shape.rows, runTokensMax: shape.rows * shape.length, deduplicate: false },
  });
  try {
    const model = findModel(node, manifest.version);
    const report = node.reportOf(model);
    if (!report?.signature) throw new CliError(`the model cannot be loaded: ${report?.reason ?? model.entry.reason ?? 'unknown reason'}`);
    return await measure({ node, model, item: item ?? itemOf(report.signature, shape), executors });
  } finally {
    await node.close();
  }
}

/** The mean time of runs that have the machine for themselves; the first one finds caches empty. */
async function idleMs({ node, model, item }: Running): Promise<number> {
  await runMs(node, model, item);
  const endMs = performance.now() + MEASURE_MS;
  const times: number[] = [];
  while (times.length < RUNS_MIN || (times.length < RUNS_MAX && performance.now() < endMs)) times.push(await runMs(node, model, item));
  return meanOf(times);
}

/** The mean time of runs while every executor has one. */
async function busyMs({ node, model, item, executors }: Running): Promise<number> {
  const endMs = performance.now() + MEASURE_MS;
  const times = await Promise.all(
    Array.from({ length: executors }, async () => {
      const own: number[] = [];
      while (own.length < RUNS_MIN || performance.now() < endMs) own.push(await runMs(node, model, item));
      return own.slice(1, -1); // the first and the last have not all of the others beside them
    }),
  );
  return meanOf(times.flat());
}

const meanOf = (times: readonly number[]): number => times.reduce((sum, ms) => sum + ms, 0) / times.length;

async function runMs(node: LocalNode, model: LocalModel, item: InferenceItem): Promise<number> {
  const [result] = await node.run(model, [item]);
  if (result === undefined || result instanceof InterleaveError) {
    const shape = item.inputs[0]?.shape.join(' × ') ?? '';
    throw new CliError(`a run of ${shape} failed; does the model take as many rows and tokens? ${result?.message.trim() ?? 'no answer'}`);
  }
  return result.timing.runUs / 1000;
}

/** Ones of that many rows and tokens. */
function itemOf(signature: ModelSignature, shape: RunShape): InferenceItem {
  return { inputs: signature.inputs.map((spec) => ({ name: spec.name, datatype: spec.datatype, ...onesOf(spec, shape) })), outputs: null };
}

function onesOf({ name, datatype, shape, axes }: TensorSpec, run: RunShape): { shape: number[]; data: Uint8Array } {
  const { bytes } = DATATYPES[datatype];
  if (bytes === null || !(datatype in ONE)) throw new CliError(`input "${name}" is of type ${datatype}, for which no rows can be made up`);
  const sizes = shape.map((size, i) => (axes[i] === 'batch' ? run.rows : axes[i]?.startsWith('sequence') ? run.length : Math.max(1, size)));
  const count = sizes.reduce((product, size) => product * size, 1);
  const one = ONE[datatype as keyof typeof ONE];
  return { shape: sizes, data: new Uint8Array(Buffer.concat(Array.from({ length: count }, () => one))) };
}

const ONE = {
  BOOL: Uint8Array.of(1),
  UINT8: Uint8Array.of(1),
  INT8: Uint8Array.of(1),
  INT32: new Uint8Array(Int32Array.of(1).buffer),
  INT64: new Uint8Array(BigInt64Array.of(1n).buffer),
  FP16: new Uint8Array(Uint16Array.of(0x3c00).buffer),
  FP32: new Uint8Array(Float32Array.of(1).buffer),
  FP64: new Uint8Array(Float64Array.of(1).buffer),
};

/** What `interleave split` wrote beside the stages, as far as it is needed here. */
const splitSchema = z.object({
  madeFrom: z.string(),
  /** Absent: made before it was written. */
  madeFromSha256: z.string().optional(),
  measuredAt: z.object({ rows: z.number(), length: z.number() }),
  stages: z.array(z.object({ weightsBytes: z.number(), ms: z.number().nullable() })).min(2),
  cuts: z.array(z.object({ bytes: z.number() })),
});

/** Null: the model is not split. */
async function readSplit({ config, manifest, shape, onStep }: MeasureRequest): Promise<ParallelFacts['split']> {
  const path = join(config.modelsDir, pipelineName(manifest.name), 'split.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  return splitOf({ text, path, version: manifest.version, sha256: await sha256OfWeights(manifest.modelPath), shape }, onStep);
}

/**
 * What the `split.json` of that path says of runs of that shape; null, and `say` tells why, where it is of no use for that version of
 * the model, whose files have that SHA-256.
 */
export function splitOf(
  file: { text: string; path: string; version: string; sha256: string; shape: RunShape },
  say: (text: string) => void,
): ParallelFacts['split'] {
  const { text, path, shape } = file;
  const record = splitSchema.safeParse(jsonOf(text));
  const problem = record.success ? problemOf(record.data, file) : 'is not what interleave split writes';
  if (!record.success || problem !== null) {
    say(
      `${path} ${problem}, so its stages cannot be predicted, and equal ones are assumed; remove the stages and the pipeline, and split ` +
        'the model again',
    );
    return null;
  }
  const { measuredAt, cuts } = record.data;
  const stages = record.data.stages.flatMap(({ ms, weightsBytes }) => (ms === null ? [] : [{ ms, weightsBytes }]));
  // A length of 1: no axis varies but that of the rows.
  const size = (shape.rows / measuredAt.rows) * (measuredAt.length > 1 ? shape.length / measuredAt.length : 1);
  return { stages, cutBytes: cuts.map(({ bytes }) => bytes * size) };
}

/** Why the stages are of no use; null: they are. */
function problemOf(
  { madeFrom, madeFromSha256, stages }: z.infer<typeof splitSchema>,
  { version, sha256 }: { version: string; sha256: string },
): string | null {
  if (madeFrom !== version) return `was made from version ${madeFrom}`;
  if (madeFromSha256 !== sha256) return `was made from other files than those of version ${version} now`;
  return stages.some(({ ms }) => ms === null) ? 'has stages without a time' : null;
}

/** Undefined: it is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
