import { join } from 'node:path';
import type { Config } from '@app/config';
import { InterleaveError, mergingText, type ModelSignature, type Task } from '@app/contracts';
import { hasFile, inspectTokenizers, type FileManifest, type RepositoryEntry } from '@app/models';
import { differenceOf } from '../answers';
import { madeUpInstances } from '../instances';
import { findModel, LocalNode, type LocalModel } from '../local-node';
import { ScratchRepository, versionFiles, type VersionFiles } from '../optimize/scratch-repository';
import { inScratchFolder, withRealPaths } from '../scratch-folder';
import { readSamples, SAMPLES_FILE, samplesPath, writeSamples, type Sample } from './samples';

const MADE_UP_MAX = 8;
/** Of differences, so many are told. */
const DIFFERENCES_MAX = 10;

/** What was found about one model version. */
export interface ModelCheck {
  model: string;
  version: string;
  ok: boolean;
  /** Why it cannot be served, or what differs; null: nothing. */
  reason: string | null;
  task: Task | null;
  inputs: string[];
  outputs: string[];
  /** Whether its rows share runs. */
  rows: string | null;
  loadMs: number | null;
  /** `fast`, or `slow`: short texts cost more; null: it takes no texts. */
  tokenizer: 'fast' | 'slow' | null;
  /** Where samples are; null: rows were made up, and nothing was compared. */
  samples: string | null;
  compared: number;
  /** Rows that got an answer. */
  answered: number;
  differences: string[];
  warnings: string[];
}

export interface CheckOptions {
  config: Config;
  modelsDir: string;
  /** Answers become the expected ones. */
  records: boolean;
}

/** Loads a version alone, as a worker does, and compares its answers. Throws a `CliError` for samples that cannot be read. */
export async function checkModel(entry: RepositoryEntry, options: CheckOptions): Promise<ModelCheck> {
  const { name, version, manifest, reason } = entry;
  if (manifest === null) return { ...nothing(name, version), reason };
  if (!hasFile(manifest))
    return { ...nothing(name, version), reason: 'it is a graph, which runs on a node only; check the models of its steps' };
  return inScratchFolder('check', async (folder) => {
    const files = versionFiles(options.modelsDir, name, version, manifest.modelPath);
    const scratch = new ScratchRepository(join(folder, 'models'), name, files);
    const node = await LocalNode.start({ config: options.config, modelsDir: scratch.modelsDir });
    try {
      return linksResolved(await new Check(node, manifest, files, options).run(), folder);
    } finally {
      await node.close();
    }
  });
}

/** What was found, with the real paths of files that are linked in the folder. */
export function linksResolved(found: ModelCheck, folder: string): ModelCheck {
  const told = (text: string): string => withRealPaths(text, folder);
  return {
    ...found,
    reason: found.reason === null ? null : told(found.reason),
    samples: found.samples === null ? null : told(found.samples),
    differences: found.differences.map(told),
    warnings: found.warnings.map(told),
  };
}

const nothing = (model: string, version: string): ModelCheck => ({
  model,
  version,
  ok: false,
  reason: null,
  task: null,
  inputs: [],
  outputs: [],
  rows: null,
  loadMs: null,
  tokenizer: null,
  samples: null,
  compared: 0,
  answered: 0,
  differences: [],
  warnings: [],
});

class Check {
  private readonly model: LocalModel;

  constructor(
    private readonly node: LocalNode,
    private readonly manifest: FileManifest,
    private readonly files: VersionFiles,
    private readonly options: CheckOptions,
  ) {
    this.model = findModel(node, manifest.version);
  }

  async run(): Promise<ModelCheck> {
    const { name, version, warnings } = this.manifest;
    const report = this.node.reportOf(this.model);
    const entry = this.node.catalog.list().find((other) => other.name === name && other.version === version);
    if (report?.state !== 'ready' || report.signature === null || entry?.state !== 'ready')
      return { ...nothing(name, version), warnings, reason: report?.reason ?? entry?.reason ?? 'unknown reason' };
    const [tokenizer] = await inspectTokenizers([this.model.entry]);
    const found: ModelCheck = {
      ...nothing(name, version),
      ...described(report.signature),
      task: entry.task,
      rows: mergingText(report.signature),
      loadMs: Math.round(this.node.loadMs),
      tokenizer: tokenizer === undefined ? null : tokenizer.hasFastPath ? 'fast' : 'slow',
      warnings: [...warnings, ...(entry.reason === null ? [] : [entry.reason])],
    };
    const path = samplesPath(this.files.versionFolder, this.files.folder);
    const samples = path === null ? null : await readSamples(path, this.options.config);
    if (this.options.records) return this.record(found, path ?? join(this.files.folder, SAMPLES_FILE), samples);
    return samples === null ? this.tryMadeUp(found) : this.compare({ ...found, samples: path }, samples);
  }

  private async compare(found: ModelCheck, samples: Sample[]): Promise<ModelCheck> {
    const differences: string[] = [];
    let answered = 0;
    for (const { place, expected, tolerance, ...instance } of samples) {
      const outcome = await this.answer(instance);
      if ('problem' in outcome) differences.push(`${place}: ${outcome.problem}`);
      else {
        answered++;
        const difference = differenceOf(expected, outcome.answer, tolerance);
        if (difference !== null) differences.push(`${place}: ${difference}`);
      }
    }
    const reason = differences.length === 0 ? null : `${differences.length} of ${samples.length} samples have other answers`;
    return {
      ...found,
      answered,
      compared: samples.length,
      differences: differences.slice(0, DIFFERENCES_MAX),
      ok: reason === null,
      reason,
    };
  }

  private async tryMadeUp(found: ModelCheck): Promise<ModelCheck> {
    const outcomes = await Promise.all(this.madeUp().map((instance) => this.answer(instance)));
    const refusals = outcomes.flatMap((outcome) => ('problem' in outcome ? [outcome.problem] : []));
    const answered = outcomes.length - refusals.length;
    // Made-up tensors may be out of the range of any model; made-up texts are not.
    const isSuspect = refusals.length > 0 && (found.task !== 'tensor' || answered === 0);
    if (!isSuspect) return { ...found, answered, ok: true };
    return {
      ...found,
      answered,
      reason: `${refusals.length} of ${outcomes.length} made-up rows got no answer: ${refusals[0]}; write ${SAMPLES_FILE}`,
    };
  }

  private async record(found: ModelCheck, path: string, samples: Sample[] | null): Promise<ModelCheck> {
    const wanted = samples ?? this.madeUp().map((instance) => ({ ...instance, written: {} }));
    const recorded: Pick<Sample, 'input' | 'expected' | 'written'>[] = [];
    for (const { input, parameters, written } of wanted) {
      const outcome = await this.answer({ input, parameters });
      if (!('problem' in outcome)) recorded.push({ input, written, expected: outcome.answer });
      else if (samples !== null) return { ...found, reason: `nothing is recorded: a sample got no answer: ${outcome.problem}` };
    }
    if (recorded.length === 0) return { ...found, reason: `no made-up row got an answer; write inputs into ${path} yourself` };
    writeSamples(path, recorded);
    return { ...found, samples: path, answered: recorded.length, ok: true };
  }

  private madeUp(): ReturnType<typeof madeUpInstances> {
    return madeUpInstances(this.node.catalog.find(this.manifest.name, this.manifest.version)).slice(0, MADE_UP_MAX);
  }

  private async answer(instance: { input: unknown; parameters?: unknown }): Promise<{ answer: unknown } | { problem: string }> {
    try {
      return { answer: await this.node.predict(this.model, instance) };
    } catch (error) {
      if (error instanceof InterleaveError) return { problem: error.message };
      throw error;
    }
  }
}

function described({ inputs, outputs }: ModelSignature): Pick<ModelCheck, 'inputs' | 'outputs'> {
  const text = ({ name, datatype, shape }: ModelSignature['inputs'][number]): string => `${name} ${datatype} [${shape.join(', ')}]`;
  return { inputs: inputs.map(text), outputs: outputs.map(text) };
}
