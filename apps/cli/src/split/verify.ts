import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '@app/config';
import { InterleaveError, mergingText, type InferenceItem, type ModelSignature, type Tensor } from '@app/contracts';
import { CliError } from '../cli-error';
import { madeUpInstances } from '../instances';
import { LocalNode, type LocalModel } from '../local-node';
import { inScratchFolder } from '../scratch-folder';
import { exampleInputs, type Examples, type NamedInput } from './example-inputs';
import type { Stage } from './stages';

const MEASURED_RUNS = 7;
const NS_PER_MS = 1e6;

/** What the whole model does: how it is served, made-up inputs, and its answers to them. */
export interface WholeModel {
  signature: ModelSignature;
  examples: Examples;
  /** Inputs of requests: the examples, and texts where it takes them. */
  inputs: Tensor[][];
  /** Outputs, for each of them. */
  outputs: Tensor[][];
  /** CPU time of one run of the size whose times count; null: it cannot be measured. */
  ms: number | null;
}

/** Runs a model as a node does, alone. Throws a `CliError` where it cannot be loaded or refuses what is made up. */
export async function runWhole(
  config: Config,
  folder: string,
  { model, declared, rowTokensMax }: { model: string; declared: readonly NamedInput[]; rowTokensMax: number | null },
): Promise<WholeModel> {
  return withModel(config, { folder, model, what: 'the model' }, async (node, local, signature) => {
    const examples = exampleInputs(signature, declared, rowTokensMax);
    const outputs: Tensor[][] = [];
    for (const inputs of examples.runs) outputs.push(await run(node, local, inputs, 'the model refuses made-up inputs'));
    const texts = await textItems(node, local);
    for (const { inputs } of texts) outputs.push(await run(node, local, inputs, 'the model refuses a made-up text'));
    const inputs = [...examples.runs, ...texts.map((item) => item.inputs)];
    return { signature, examples, inputs, outputs, ms: await measure(node, local, examples) };
  });
}

/** How a stage is served by itself. */
export interface ServedStage {
  /** CPU time of one run of the size whose times count; null: it cannot be measured. */
  ms: number | null;
  /** Whether rows of several requests share runs. */
  rows: string;
  /** Of its outputs, by name, as the runtime finds them in the graph; -1: a size that varies. */
  shapes: ReadonlyMap<string, readonly number[]>;
}

/** Runs a stage as a node does, with the values that flow into it; adds what it gives to them. */
export async function runStage(
  config: Config,
  { folder, model, stage }: { folder: string; model: string; stage: Stage },
  { flows, examples }: { flows: readonly Map<string, Tensor>[]; examples: Examples },
): Promise<ServedStage> {
  return withModel(config, { folder, model, what: model }, async (node, local, signature) => {
    const names = [...stage.inputs, ...stage.takes.map(({ name }) => name)];
    for (const flow of flows) {
      const inputs = names.map((name) => flow.get(name) as Tensor);
      for (const output of await run(node, local, inputs, `${model} refuses what the stages before it give`)) flow.set(output.name, output);
    }
    const shapes = new Map(signature.outputs.map(({ name, shape }) => [name, shape] as const));
    return { ms: await measure(node, local, examples), rows: mergingText(signature), shapes };
  });
}

/** An output that the stages give otherwise than the whole model, were it by one bit; null: there is none. */
export function differentOutput(expected: readonly Tensor[][], flows: readonly Map<string, Tensor>[]): string | null {
  for (const [i, outputs] of expected.entries())
    for (const whole of outputs) {
      const staged = flows[i]?.get(whole.name);
      if (staged?.shape.join() !== whole.shape.join() || Buffer.compare(staged.data, whole.data) !== 0) return whole.name;
    }
  return null;
}

async function withModel<T>(
  config: Config,
  { folder, model, what }: { folder: string; model: string; what: string },
  use: (node: LocalNode, local: LocalModel, signature: ModelSignature) => Promise<T>,
): Promise<T> {
  return inScratchFolder('split', async (modelsDir) => {
    mkdirSync(dirname(join(modelsDir, model)), { recursive: true });
    symlinkSync(folder, join(modelsDir, model));
    const node = await LocalNode.start({ config, modelsDir });
    try {
      const [local] = node.models;
      const report = local === undefined ? null : node.reportOf(local);
      if (local === undefined || !report?.signature)
        throw new CliError(`${what} cannot be loaded: ${report?.reason ?? local?.entry.reason ?? 'unknown'}`);
      return await use(node, local, report.signature);
    } finally {
      await node.close();
    }
  });
}

/** One by one, so that no two share a run. */
async function run(node: LocalNode, model: LocalModel, inputs: Tensor[], failure: string): Promise<Tensor[]> {
  const [result] = await node.run(model, [{ inputs, outputs: null }]);
  if (result !== undefined && !(result instanceof InterleaveError)) return result.outputs;
  throw new CliError(`${failure}: ${result?.message ?? 'no answer'}`);
}

/** Made-up texts that the model takes; none for a model of tensors. */
async function textItems(node: LocalNode, model: LocalModel): Promise<InferenceItem[]> {
  const { name, version } = model.entry;
  const served = node.catalog.find(name, version);
  if (served.text === null) return [];
  const items: InferenceItem[] = [];
  for (const instance of madeUpInstances(served)) {
    const prepared = await node.prepare(model, [instance]).catch((error: unknown) => {
      if (error instanceof InterleaveError) return null; // too long for the model
      throw error;
    });
    items.push(...(prepared?.items ?? []));
  }
  return items;
}

async function measure(node: LocalNode, model: LocalModel, { rows, length }: Examples): Promise<number | null> {
  const times: number[] = [];
  for (let i = 0; i <= MEASURED_RUNS; i++) {
    const ns = await node.measure(model, { rows, length }).catch(() => null);
    // The first run of a shape is slower than those that follow.
    if (ns !== null && i > 0) times.push(ns / NS_PER_MS);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] ?? null;
}
