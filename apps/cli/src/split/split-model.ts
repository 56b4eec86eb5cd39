import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '@app/config';
import type { Tensor } from '@app/contracts';
import { isModelName, scanModel, sha256OfWeights, type FileManifest } from '@app/models';
import { inspectRuntime } from '@app/native';
import { ExternalFiles, readOnnxFile, writeOnnxPart, type OnnxFile, type OnnxWeight } from '@app/onnx-file';
import { readCpuModel } from '@app/system';
import { CliError } from '../cli-error';
import { ScratchRepository, versionFiles, type VersionFiles } from '../optimize/scratch-repository';
import { inScratchFolder, removeOnSignal, removeScratchFolder } from '../scratch-folder';
import { findCuts, type Cut } from './candidates';
import { chooseCuts } from './choose-cuts';
import { namedInputs, paddedAxes, type AxesSettings, type NamedInput } from './example-inputs';
import { pipelineName, settingsOf, stageName, writePipeline, writeStageSettings } from './model-folders';
import { profileModel, type Profile } from './profile';
import { cutWithSizes, divide, withSizes, type Stage } from './stages';
import { differentOutput, runStage, runWhole, type WholeModel } from './verify';

export interface SplitRequest {
  config: Config;
  manifest: FileManifest;
  stages: number;
  /** Where the new folders go. */
  out: string;
  /** Nothing is written: cuts and predicted times only. */
  isDryRun: boolean;
  say: (line: string) => void;
}

export interface SplitResult {
  model: string;
  /** The run whose times count. */
  rows: number;
  length: number;
  whole: { ms: number | null; weightsBytes: number };
  stages: SplitStage[];
  /** One less than the stages. */
  cuts: Cut[];
  /** Places where the graph could have been cut. */
  places: number;
}

export interface SplitStage {
  model: string;
  nodes: number;
  weightsBytes: number;
  /** By the runtime's profile of the whole model. */
  predictedMs: number;
  /** As the worker measures it; null: it was not. */
  ms: number | null;
  /** Whether rows of several requests share its runs; null: it was not written. */
  rows: string | null;
}

/** Cuts a model into stages, proves that they answer as the whole does, and puts them and their pipeline in place. Throws a `CliError`. */
export async function splitModel(request: SplitRequest): Promise<SplitResult> {
  const aside = asideOf(request.out);
  removeOnSignal(aside);
  try {
    const sha256 = await digestOf(request.manifest);
    return await inScratchFolder('split', (folder) => new Split(folder, request, sha256).run());
  } finally {
    removeScratchFolder(aside);
  }
}

/** What is made beside its place: a name that begins with a dot is no model. */
const asideOf = (out: string): string => join(out, `.split-${process.pid}`);

/** Moves folders of those names to `out`: all of them or, with a `CliError`, none. */
export function moveAll(names: readonly string[], aside: string, out: string): void {
  const moved: string[] = [];
  try {
    for (const name of names) {
      mkdirSync(dirname(join(out, name)), { recursive: true });
      renameSync(join(aside, name), join(out, name));
      moved.push(name);
    }
  } catch (error) {
    for (const name of moved) renameSync(join(out, name), join(aside, name));
    throw new CliError(`the stages cannot be moved to ${out}, so none is there: ${(error as Error).message}`);
  }
}

class Split {
  private readonly files: VersionFiles;
  private readonly file: OnnxFile;
  private readonly inputs: NamedInput[];

  constructor(
    private readonly folder: string,
    private readonly request: SplitRequest,
    /** Of the weights, from before they are read. */
    private readonly sha256: string,
  ) {
    const { config, manifest } = request;
    this.files = versionFiles(config.modelsDir, manifest.name, manifest.version, manifest.modelPath);
    this.file = readGraph(manifest.modelPath);
    this.inputs = namedInputs(this.file.graph.inputs, (settingsOf(this.files)['axes'] ?? {}) as AxesSettings);
    this.requireFree();
  }

  async run(): Promise<SplitResult> {
    const { config, manifest, say, isDryRun } = this.request;
    say('running the whole model');
    const scratch = new ScratchRepository(join(this.folder, 'models'), manifest.name, this.files);
    const whole = await runWhole(config, join(scratch.modelsDir, manifest.name), {
      model: manifest.name,
      declared: this.inputs,
      rowTokensMax: manifest.text?.maxTokens ?? null,
    });
    say('timing its operators');
    const profile = await profileModel(manifest.modelPath, whole.examples, this.folder);
    const { cuts, places } = this.choose(profile, whole);
    const stages = divide(this.file, profile, cuts, false);
    const result = this.resultOf(profile, whole, { cuts, places, stages });
    if (!isDryRun) await this.make(profile, whole, result);
    return result;
  }

  private choose(profile: Profile, { examples: { axes, rowAxis } }: WholeModel): { cuts: Cut[]; places: number } {
    const { stages } = this.request;
    const places = findCuts(profile, { original: this.file.graph, axes, rowAxis });
    const cuts = chooseCuts(places, profile.totalUs, stages);
    if (cuts !== null) return { cuts, places: places.length };
    throw new CliError(
      `the graph can be cut at ${places.length} places, too few for ${stages} stages; between stages go only tensors that begin with ` +
        `the axis of the rows; try ${places.length + 1 < 2 ? 'another model' : `--stages ${places.length + 1}`}`,
    );
  }

  private resultOf(
    profile: Profile,
    { examples: { rows, length }, ms }: WholeModel,
    { cuts, places, stages }: { cuts: Cut[]; places: number; stages: Stage[] },
  ): SplitResult {
    const { name } = this.request.manifest;
    const weights = new WeightBytes(this.file);
    const ends = [...cuts.map(({ us }) => us), profile.totalUs];
    return {
      model: name,
      rows,
      length,
      whole: { ms, weightsBytes: weights.of(this.file.graph.weights) },
      stages: stages.map(({ part }, i) => ({
        model: stageName(name, i),
        nodes: part.nodes.length,
        weightsBytes: weights.of(part.weights),
        predictedMs: ((ends[i] ?? 0) - (ends[i - 1] ?? 0)) / 1000,
        ms: null,
        rows: null,
      })),
      cuts,
      places,
    };
  }

  /** Writes all beside its place, proves it, and moves it there. */
  private async make(profile: Profile, whole: WholeModel, result: SplitResult): Promise<void> {
    const { out, manifest } = this.request;
    const aside = asideOf(out);
    const stages = await this.equalStages(aside, profile, { whole, result });
    const folder = join(aside, pipelineName(manifest.name));
    const outputs = whole.signature.outputs.map(({ name }) => name);
    writePipeline(folder, manifest.name, stages, this.files, outputs);
    writeFileSync(join(folder, 'split.json'), `${JSON.stringify(this.recordOf(result), null, 2)}\n`);
    this.requireServed(aside);
    this.requireFree();
    if ((await digestOf(manifest)) !== this.sha256)
      throw new CliError(`${manifest.modelPath} was changed meanwhile, so nothing was written; split it again`);
    // The pipeline last: a node that follows the folder finds its stages there.
    moveAll(this.names(), aside, out);
  }

  /** A node would refuse the pipeline only once callers need it. */
  private requireServed(aside: string): void {
    const [entry] = scanModel(aside, pipelineName(this.request.manifest.name));
    if (!entry?.manifest)
      throw new CliError(`the stages make no model that is served, so nothing was written: ${entry?.reason ?? 'no files'}`);
  }

  /**
   * Stages that give the bits of the whole. What the runtime knows of a shape decides what it fuses, and behind a few operators it has
   * mostly lost the names of axes: so the stages first know no more of what they take, and then as much as of the inputs.
   */
  private async equalStages(aside: string, profile: Profile, made: { whole: WholeModel; result: SplitResult }): Promise<Stage[]> {
    let different: string | null = null;
    for (const namesAxes of [false, true]) {
      rmSync(aside, { recursive: true, force: true });
      const stages = divide(this.file, profile, made.result.cuts, namesAxes);
      different = await this.makeStages(aside, stages, made);
      if (different === null) return stages;
    }
    throw new CliError(
      `the stages give another output "${different}" than the whole model, so nothing was written; try another number of stages, ` +
        'or split the graph as it was before it was optimised or quantised',
    );
  }

  /** Resolves to the name of an output that differs, or null. */
  private async makeStages(
    aside: string,
    stages: readonly Stage[],
    { whole, result }: { whole: WholeModel; result: SplitResult },
  ): Promise<string | null> {
    const { config, manifest, say } = this.request;
    const padded = paddedAxes(whole.signature, this.inputs);
    const known = new Map<string, readonly number[]>();
    const flows = whole.inputs.map((inputs) => new Map(inputs.map((tensor): [string, Tensor] => [tensor.name, tensor])));
    for (const [i, divided] of stages.entries()) {
      const stage = withSizes(divided, known);
      const model = stageName(manifest.name, i);
      const folder = join(aside, model);
      say(`writing and running ${model}`);
      try {
        writeOnnxPart(this.file, stage.part, join(folder, '1', 'model.onnx'));
      } catch (error) {
        throw new CliError(`${folder} cannot be written: ${(error as Error).message}`);
      }
      writeStageSettings(folder, stage, settingsOf(this.files), padded);
      const { shapes, ...served } = await runStage(config, { folder, model, stage }, { flows, examples: whole.examples });
      for (const [name, shape] of shapes) known.set(name, shape);
      Object.assign(result.stages[i] as SplitStage, served);
    }
    result.cuts = result.cuts.map((cut) => cutWithSizes(cut, known));
    return differentOutput(whole.outputs, flows);
  }

  private recordOf({ rows, length, whole, stages, cuts }: SplitResult): object {
    const { config, manifest } = this.request;
    return {
      formatVersion: 1,
      model: manifest.name,
      madeFrom: manifest.version,
      madeFromSha256: this.sha256,
      madeAt: new Date().toISOString(),
      cpu: readCpuModel(),
      onnxRuntime: inspectRuntime(config.ortLibraryPath).version,
      measuredAt: { rows, length },
      whole,
      stages: stages.map(({ model, nodes, weightsBytes, ms, rows: sharing }) => ({ model, nodes, weightsBytes, ms, rows: sharing })),
      cuts: cuts.map(({ values, bytes }) => ({
        tensors: values.map(({ name, datatype, dims }) => ({ name, datatype, shape: dims })),
        bytes,
      })),
    };
  }

  private names(): string[] {
    const { manifest, stages } = this.request;
    return [...Array.from({ length: stages }, (_, i) => stageName(manifest.name, i)), pipelineName(manifest.name)];
  }

  private requireFree(): void {
    const { out, isDryRun } = this.request;
    for (const name of isDryRun ? [] : this.names()) {
      if (!isModelName(name)) throw new CliError(`the name ${name} would be too long for a model; rename the folder of the model`);
      if (existsSync(join(out, name)))
        throw new CliError(`${join(out, name)} is there already; remove it, or name another folder with --out`);
    }
  }
}

async function digestOf({ modelPath }: FileManifest): Promise<string> {
  try {
    return await sha256OfWeights(modelPath);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

function readGraph(path: string): OnnxFile {
  try {
    const file = readOnnxFile(path);
    const { inputs, outputs, weights } = file.graph;
    const names = (values: readonly { name: string }[]): Set<string> => new Set(values.map(({ name }) => name));
    const [given, own] = [names(inputs), names(weights)];
    const through = outputs.find(({ name }) => given.has(name) && !own.has(name));
    if (through !== undefined)
      throw new Error(`output "${through.name}" is an input too, which no stage can make; save the model without it`);
    const node = file.graph.nodes.find(({ hasExternalData }) => hasExternalData);
    if (node === undefined) return file;
    throw new Error(`node "${node.name}" has an attribute or a subgraph whose values lie in another file; save the model with them inside`);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

class WeightBytes {
  private readonly files: ExternalFiles;

  constructor(file: OnnxFile) {
    this.files = new ExternalFiles(file);
  }

  of(weights: readonly OnnxWeight[]): number {
    return weights.reduce((sum, weight) => sum + this.ofOne(weight), 0);
  }

  private ofOne(weight: OnnxWeight): number {
    if (weight.external === null) return weight.bytes;
    const { span } = this.files.locate(weight, weight.external);
    return span.end - span.start;
  }
}
