import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '@app/config';
import { DATATYPES, InterleaveError, type InferenceItem, type ModelSignature, type TensorSpec } from '@app/contracts';
import { modelFileBytes, type FileManifest } from '@app/models';
import { z } from 'zod';
import { CliError } from '../cli-error';
import { findModel, LocalNode, type LocalModel } from '../local-node';
import { ScratchRepository, versionFiles } from '../optimize/scratch-repository';
import { countsUpTo, type ParallelFacts } from './cost-model';

/** Of each measurement the mean of so many runs counts, or of as many as this time holds. */
const RUNS_MIN = 3;
const RUNS_MAX = 60;
const MEASURE_MS = 3000;
/** What another step of a graph adds to a request: `bench/graphs` measures it. */
const STEP_MS = 0.15;

export interface RunShape {
  rows: number;
  length: number;
}

export interface MeasureRequest {
  config: Config;
  manifest: FileManifest;
  cpus: readonly number[];
  shape: RunShape;
  /** Told before each measurement, and what cannot be used. */
  onStep: (text: string) => void;
}

/** Runs the model on one thread, on more, and on all CPUs at once, each in a worker of its own; use it on an idle machine. */
export async function measureParallel(request: MeasureRequest): Promise<ParallelFacts> {
  const folder = mkdtempSync(join(tmpdir(), 'interleave-parallel-'));
  try {
    const { config, manifest, cpus, shape } = request;
    const files = versionFiles(config.modelsDir, manifest.name, manifest.version, manifest.modelPath);
    const { modelsDir } = new ScratchRepository(join(folder, 'models'), manifest.name, files);
    const widths: { width: number; ms: number }[] = [];
    for (const width of countsUpTo(cpus.length)) {
      request.onStep(`measuring on ${width} ${width === 1 ? 'thread' : 'threads'}`);
      widths.push({ width, ms: await withNode(request, modelsDir, { width, executors: width }, idleMs) });
    }
    const oneMs = widths[0]?.ms ?? 0;
    if (cpus.length > 1) request.onStep(`measuring on ${cpus.length} executors of one thread`);
    const allBusyMs = cpus.length === 1 ? oneMs : await withNode(request, modelsDir, { width: 1, executors: cpus.length }, busyMs);
    const weightsBytes = modelFileBytes(manifest.modelPath);
    return {
      cpus: cpus.length,
      rows: shape.rows,
      weightsBytes,
      widths,
      allBusyMs,
      split: readSplit(config, manifest.name, request.onStep),
      stepMs: STEP_MS,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Running {
  node: LocalNode;
  model: LocalModel;
  item: InferenceItem;
  executors: number;
}

async function withNode(
  { config, manifest, cpus, shape }: MeasureRequest,
  modelsDir: string,
  { width, executors }: { width: number; executors: number },
  measure: (running: Running) => Promise<number>,
): Promise<number> {
  const node = await LocalNode.start({
    config,
    modelsDir,
    cpus: cpus.slice(-executors),
    overrides: { executorThreads: width, runRowsMax: shape.rows, runTokensMax: shape.rows * shape.length, deduplicate: false },
  });
  try {
    const model = findModel(node, manifest.version);
    const report = node.reportOf(model);
    if (!report?.signature) throw new CliError(`the model cannot be loaded: ${report?.reason ?? model.entry.reason ?? 'unknown reason'}`);
    return await measure({ node, model, item: itemOf(report.signature, shape), executors });
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
  if (result === undefined || result instanceof InterleaveError) throw new CliError(`a run failed: ${result?.message ?? 'no answer'}`);
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
  stages: z.array(z.object({ weightsBytes: z.number(), ms: z.number().nullable() })).min(2),
  cuts: z.array(z.object({ bytes: z.number() })),
});

/** Null: the model is not split. */
function readSplit({ modelsDir }: Pick<Config, 'modelsDir'>, model: string, say: (text: string) => void): ParallelFacts['split'] {
  const path = join(modelsDir, `${model}-pipeline`, 'split.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  return splitOf(text, path, say);
}

/** What the `split.json` of that path says; null, and `say` tells why, where a stage was not measured. Throws a `CliError`. */
export function splitOf(text: string, path: string, say: (text: string) => void): ParallelFacts['split'] {
  const record = splitSchema.safeParse(jsonOf(text));
  if (!record.success) throw new CliError(`${path}: expected what interleave split writes; split the model again`);
  const stages = record.data.stages.flatMap(({ ms, weightsBytes }) => (ms === null ? [] : [{ ms, weightsBytes }]));
  if (stages.length === record.data.stages.length) return { stages, cutBytes: record.data.cuts.map(({ bytes }) => bytes) };
  say(`${path} has stages without a time, so its stages cannot be predicted, and equal ones are assumed; split the model again`);
  return null;
}

/** Undefined: it is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
