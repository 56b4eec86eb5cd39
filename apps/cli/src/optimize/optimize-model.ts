import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '@app/config';
import { InterleaveError, mergingText, type InferenceItem, type ModelSignature } from '@app/contracts';
import type { FileManifest } from '@app/models';
import { CliError } from '../cli-error';
import { madeUpInstances, readInstances } from '../instances';
import { findModel, LocalNode, type Instance, type LocalModel } from '../local-node';
import { inScratchFolder } from '../scratch-folder';
import { agreementOf } from './agreement';
import { writeCalibration } from './calibration-rows';
import { choose, type Candidate, type Choice, type ChoiceRule, type Measured } from './choose';
import { testCompany, type Company } from './neighbours';
import { makeVariant, VARIANT_KINDS, type VariantKind, type VariantRequest } from './python-tools';
import { bytesOf, ScratchRepository, versionFiles } from './scratch-repository';
import { measureSpeed, speedCells, speedup, type Speed, type SpeedCell } from './speed';

/** Of a file, the first so many: more say nothing new and take long. */
const ROWS_MAX = 2000;
/** Each DynamicQuantizeLinear takes its scale from all rows of a run. */
const RUNS_ALONE = ' Scales of activations are taken from all rows of a run: no two rows may share one.';

export interface OptimizeRequest {
  config: Config;
  manifest: FileManifest;
  /** Path of Python with the tools. */
  python: string;
  /** Paths of JSON Lines; null: rows are made up, and nothing is calibrated. */
  rows: string | null;
  calibration: string | null;
  rule: ChoiceRule;
  say: (line: string) => void;
}

export interface OptimizeResult {
  candidates: Candidate[];
  cells: SpeedCell[];
  rows: number;
  choice: Choice;
  /** The chosen version's folder; null: the original is the best. Valid until the callback of `optimizeModel` is over. */
  folder: string | null;
}

/** Makes, measures and compares variants, and hands the result to `use`, while their files are there. */
export async function optimizeModel(request: OptimizeRequest, use: (result: OptimizeResult) => void): Promise<void> {
  await inScratchFolder('optimize', async (folder) => use(await new Optimization(folder, request).run()));
}

interface Made {
  kind: VariantKind;
  version: string;
  note: string;
}

class Optimization {
  private readonly scratch: ScratchRepository;

  constructor(
    private readonly folder: string,
    private readonly request: OptimizeRequest,
  ) {
    const { config, manifest } = request;
    const files = versionFiles(config.modelsDir, manifest.name, manifest.version, manifest.modelPath);
    this.scratch = new ScratchRepository(join(folder, 'models'), manifest.name, files);
  }

  async run(): Promise<OptimizeResult> {
    const { instances, calibrationRows } = await this.prepareRows();
    const made: Made[] = [];
    const candidates: Candidate[] = [];
    for (const [i, kind] of VARIANT_KINDS.entries()) {
      const outcome = await this.make(kind, String(Number(this.request.manifest.version) + 1 + i), calibrationRows);
      if (typeof outcome === 'string') candidates.push({ kind, note: outcome, measured: null });
      else made.push(outcome);
    }
    return this.measure(made, candidates, instances);
  }

  /** Those of the file, or made-up ones that the original answers. Writes the rows for the calibration. */
  private async prepareRows(): Promise<{ instances: Instance[]; calibrationRows: number }> {
    const { config, manifest, rows, calibration } = this.request;
    const node = await LocalNode.start({ config, modelsDir: this.scratch.modelsDir });
    try {
      const original = findModel(node, manifest.version);
      const report = node.reportOf(original);
      if (report?.state !== 'ready')
        throw new CliError(`the model cannot be loaded: ${report?.reason ?? original.entry.reason ?? 'unknown'}`);
      const served = node.catalog.find(manifest.name, manifest.version);
      const read = async (path: string): Promise<Instance[]> => (await readInstances(path, config)).slice(0, ROWS_MAX);
      const instances = rows === null ? await answered(node, original, madeUpInstances(served)) : await read(rows);
      if (rows !== null) await itemsOf(node, original, instances, rows);
      if (calibration === null) return { instances, calibrationRows: 0 };
      const items = await itemsOf(node, original, await read(calibration), calibration);
      writeCalibration(this.calibrationPath, items);
      return { instances, calibrationRows: items.length };
    } finally {
      await node.close();
    }
  }

  private get calibrationPath(): string {
    return join(this.folder, 'calibration');
  }

  /** A string says why there is no such variant. */
  private async make(kind: VariantKind, version: string, calibrationRows: number): Promise<Made | string> {
    const { manifest, python, say, calibration } = this.request;
    if (kind === 'int8-static' && calibration === null) return 'needs --calibration with rows as the model gets them';
    say(`making ${kind}`);
    const output = this.scratch.addVersion(version);
    const outcome = await makeVariant(python, {
      kind,
      input: manifest.modelPath,
      output,
      isText: manifest.text !== null,
      ...architectureOf(manifest),
      calibration: calibrationRows === 0 ? null : this.calibrationPath,
      calibrationRows,
    });
    if ('refused' in outcome) {
      this.scratch.removeVersion(version);
      return outcome.refused;
    }
    if (kind === 'int8-dynamic') this.scratch.addSettings(version, 'mergeRows', 'never', RUNS_ALONE);
    return { kind, version, note: outcome.note };
  }

  /** Rows of a variant share runs as far as they get the answers that they get alone, whatever made-up rows showed. */
  private async limitCompany(made: Made[], instances: Instance[]): Promise<void> {
    this.request.say('running rows alone and beside others');
    const node = await this.startAll();
    try {
      for (const variant of made) {
        const { model, signature } = this.subjectOf(node, variant);
        if (signature === null) continue;
        for (const { with: kind, isIndependent, difference } of await this.companyOf(node, model, signature, instances)) {
          if (isIndependent || !isAllowed(signature, kind)) continue;
          const because = ` Found by optimize: beside other rows, answers differ by ${difference.toPrecision(2)}.`;
          if (kind === 'padded') this.scratch.addSettings(variant.version, 'paddingIsSafe', false, because);
          else this.scratch.addSettings(variant.version, 'mergeRows', 'never', because);
        }
      }
    } finally {
      await node.close();
    }
  }

  private startAll(): Promise<LocalNode> {
    return LocalNode.start({ config: this.request.config, modelsDir: this.scratch.modelsDir });
  }

  private async measure(made: Made[], missing: Candidate[], instances: Instance[]): Promise<OptimizeResult> {
    await this.limitCompany(made, instances);
    const { manifest, rule } = this.request;
    const node = await this.startAll();
    try {
      const subjects = [{ kind: 'original' as const, version: manifest.version, note: '' }, ...made].map((variant) =>
        this.subjectOf(node, variant),
      );
      const [original] = subjects as [Subject];
      if (original.signature === null) throw new CliError(`the model cannot be loaded: ${original.failure}`);
      const cells = speedCells(original.signature, manifest.text?.maxTokens ?? null);
      const present = subjects.filter(isPresent);
      const speeds = await this.speedsOf(node, present, cells);
      const measured = await this.compare(node, present, speeds, instances);
      const candidates = subjects.map((subject, i): Candidate => {
        const { kind, note } = subject.made;
        return isPresent(subject)
          ? { kind, note, measured: measured[present.indexOf(subject)] ?? null }
          : { kind, note: `cannot be served: ${subjects[i]?.failure}`, measured: null };
      });
      const all = [...candidates, ...missing];
      const choice = choose(all, rule);
      const chosen = made.find(({ kind }) => kind === choice.kind);
      const folder = chosen === undefined ? null : this.scratch.versionFolder(chosen.version);
      return { candidates: all, cells, rows: instances.length, choice, folder };
    } finally {
      await node.close();
    }
  }

  private speedsOf(node: LocalNode, present: readonly PresentSubject[], cells: readonly SpeedCell[]): Promise<Speed[]> {
    this.request.say('measuring what runs cost, in turns');
    const models = present.map(({ model, signature }) => ({ model, sharesRuns: signature.coalesce !== 'alone' }));
    return measureSpeed(node, models, cells);
  }

  /** The first one is the original. */
  private async compare(
    node: LocalNode,
    present: readonly PresentSubject[],
    speeds: readonly Speed[],
    instances: Instance[],
  ): Promise<Measured[]> {
    this.request.say(`comparing the answers to ${instances.length} rows`);
    const { name, version } = this.request.manifest;
    const answers: unknown[][] = [];
    for (const { model } of present) answers.push(await answersOf(node, model, instances));
    const [expected = []] = answers;
    const measured: Measured[] = [];
    for (const [i, { model, signature }] of present.entries()) {
      const company = await this.companyOf(node, model, signature, instances);
      const pairs = expected.flatMap((answer, row) => (answer === null ? [] : [[answer, answers[i]?.[row] ?? null] as const]));
      measured.push({
        bytes: bytesOf(model.entry.manifest?.modelPath ?? ''),
        speed: speeds[i] as Speed,
        speedup: i === 0 ? null : speedup(speeds[0] as Speed, speeds[i] as Speed),
        agreement: i === 0 ? null : agreementOf(node.catalog.find(name, version), pairs),
        rows: mergingText(signature),
        sharesRuns: signature.coalesce !== 'alone',
        isMergedSafely: company.every(({ with: kind, isIndependent }) => isIndependent || !isAllowed(signature, kind)),
        company,
      });
    }
    return measured;
  }

  private subjectOf(node: LocalNode, made: Subject['made']): Subject {
    const model = findModel(node, made.version);
    const report = node.reportOf(model);
    const { name } = this.request.manifest;
    const entry = node.catalog.list().find((other) => other.name === name && other.version === made.version);
    const isReady = report?.state === 'ready' && entry?.state === 'ready';
    return {
      made,
      model,
      signature: isReady ? (report.signature ?? null) : null,
      failure: model.entry.reason ?? report?.reason ?? entry?.reason ?? 'unknown reason',
    };
  }

  private async companyOf(node: LocalNode, model: LocalModel, signature: ModelSignature, instances: Instance[]): Promise<Company[]> {
    const items: InferenceItem[] = [];
    for (const instance of instances) items.push(...(await node.prepare(model, [instance])).items);
    return testCompany(node, model, items, { signature, padValues: this.request.manifest.padValues });
  }
}

interface Subject {
  made: Omit<Made, 'kind'> & { kind: Candidate['kind'] };
  model: LocalModel;
  /** Null: it cannot be served. */
  signature: ModelSignature | null;
  failure: string;
}

type PresentSubject = Subject & { signature: ModelSignature };

const isPresent = (subject: Subject): subject is PresentSubject => subject.signature !== null;

/** Whether the worker puts rows into such company. */
const isAllowed = ({ coalesce }: ModelSignature, kind: Company['with']): boolean =>
  coalesce === 'padded' || (coalesce === 'equal-length' && kind !== 'padded');

/** Null where there is none. */
async function answersOf(node: LocalNode, model: LocalModel, instances: readonly Instance[]): Promise<(unknown | null)[]> {
  const answers: unknown[] = [];
  for (const instance of instances) answers.push(await node.predict(model, instance).catch(nullIfRefused));
  return answers;
}

async function answered(node: LocalNode, model: LocalModel, instances: readonly Instance[]): Promise<Instance[]> {
  const answers = await answersOf(node, model, instances);
  const kept = instances.filter((_, i) => answers[i] !== null);
  if (kept.length > 0) return kept;
  throw new CliError('the model refuses all made-up rows; give rows of your own with --rows, an instance of :predict in each line');
}

async function itemsOf(node: LocalNode, model: LocalModel, instances: readonly Instance[], path: string): Promise<InferenceItem[]> {
  const items: InferenceItem[] = [];
  for (const [i, instance] of instances.entries()) {
    const prepared = await node.prepare(model, [instance]).catch((error: Error) => {
      throw new CliError(`${path}: row ${i + 1}: ${error.message}`);
    });
    items.push(...prepared.items);
  }
  return items;
}

function nullIfRefused(error: unknown): null {
  if (error instanceof InterleaveError) return null;
  throw error;
}

/** What the optimizer wants to know; 0: it finds out by itself. */
function architectureOf({ modelPath }: FileManifest): Pick<VariantRequest, 'modelType' | 'heads' | 'width'> {
  const folders = [dirname(modelPath), dirname(dirname(modelPath))];
  for (const folder of folders) {
    try {
      const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
      const numberOf = (key: string): number => (typeof config[key] === 'number' ? config[key] : 0);
      return {
        modelType: typeof config.model_type === 'string' ? config.model_type : null,
        heads: numberOf('num_attention_heads'),
        width: numberOf('hidden_size'),
      };
    } catch {
      continue; // not here
    }
  }
  return { modelType: null, heads: 0, width: 0 };
}
