import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '@app/config';
import type { CostGrid, InferenceItem, ModelSignature } from '@app/contracts';
import { calibrate, costKeyId, CostStore, hasFile, planCells, type FileManifest } from '@app/models';
import { CliError } from '../cli-error';
import { cpuCostKey } from '../cost-key';
import { madeUpInstances, readInstances } from '../instances';
import { LocalNode, type LocalModel } from '../local-node';
import { ScratchRepository, versionFiles } from '../optimize/scratch-repository';
import { layoutsOf, predict, type Layout, type Prediction } from '../parallel/cost-model';
import { calledModel, cpuSetsOf, modelsOf } from '../parallel/cpu-sets';
import { measureParallel } from '../parallel/measure';
import type { ModelPlace } from '../parallel/place';
import { inScratchFolder } from '../scratch-folder';
import { p99Ms, throughput } from './load';
import { bestForGoal, bestOf, candidates, isSame, layoutsToTry, p99Goal, SIZE_KEYS, trialsOf, type Settings, type Trial } from './search';

/** Of the time of a trial, loading the model aside. */
const THROUGHPUT_PART = 0.4;
const P99_PART = 1 - THROUGHPUT_PART;
const TRIAL_MS_MIN = 1000;
const COSTS_BUDGET_MS = 5000;
/** Longer runs are in no lane. */
const COST_LIMITS = { singleRowMsMax: 2000, severalRowsMsMax: 500 };
/** Of what the present settings can do, while the p99 is measured. */
const LOAD_PART = 0.5;

export interface TuneRequest {
  config: Config;
  manifest: FileManifest;
  present: Settings;
  place: ModelPlace;
  /** Path of JSON Lines; null: rows are made up. */
  rows: string | null;
  budgetMs: number;
  /** Told what is done, for people who wait. */
  onStep: (text: string) => void;
  onTrial: (trial: Trial) => void;
}

export interface TuneResult {
  trials: Trial[];
  /** Measured once more, in turns. */
  present: Trial;
  best: Trial;
  /** What seemed best, measured once more as well; null: the present settings did. */
  again: Trial | null;
  goalMs: number;
  /** For one row of the mean length: the present layout and all others that the CPUs have room for. */
  predictions: Prediction[];
  /** Settings for which there was no time. */
  leftOut: number;
}

/** Measures settings one after the other, each in a worker of its own, on an otherwise idle machine. */
export async function tune(request: TuneRequest): Promise<TuneResult> {
  return inScratchFolder('autotune', (folder) => new Tuner(folder, request).run());
}

class Tuner {
  private readonly endMs: number;
  private trialMs = TRIAL_MS_MIN;
  /** The longest so far. */
  private loadMs = 0;
  private leftOut = 0;
  private items: InferenceItem[] = [];
  /** The row whose length is nearest to the mean, and that length. */
  private meanRow: { item?: InferenceItem; length: number } = { length: 1 };
  /** By model and threads of a run. */
  private readonly costs = new Map<string, CostGrid>();
  /** Rows a second at which the p99 is measured; null until the present settings are known. */
  private load: number | null = null;

  constructor(
    private readonly folder: string,
    private readonly request: TuneRequest,
  ) {
    this.endMs = performance.now() + request.budgetMs;
  }

  async run(): Promise<TuneResult> {
    const { present, manifest, place } = this.request;
    await this.prepare();
    const predictions = await this.predictLayouts();
    const limits = { goalMs: manifest.sloMs, memoryBytes: place.memoryBytes };
    const layouts = layoutsToTry(predictions, present.layout, limits).map(({ layout }) => layout);
    this.trialMs = this.trialMsFor(layouts);
    const first = await this.measure(present);
    const trials = [first];
    let best = first;
    for (const key of SIZE_KEYS) {
      await this.tryAll(candidates(key, best.settings), trials);
      best = bestOf(trials, first, manifest.sloMs);
    }
    const sizes = best.settings;
    await this.tryAll(
      layouts.map((layout) => ({ ...sizes, layout })),
      trials,
    );
    best = bestForGoal(trials, first, manifest.sloMs);
    const goalMs = p99Goal(first, manifest.sloMs);
    const found = { trials, goalMs, predictions, leftOut: this.leftOut };
    if (isSame(best.settings, present)) return { ...found, present: first, best: first, again: null };
    const again = await this.measure(best.settings);
    const presentAgain = await this.measure(present);
    return { ...found, present: presentAgain, best: bestForGoal([again], presentAgain, manifest.sloMs), again };
  }

  /** Of the time that is left, without what it takes to load models and to measure costs. */
  private trialMsFor(layouts: readonly Layout[]): number {
    const { present, manifest } = this.request;
    const tables = new Set(
      [present.layout, ...layouts].flatMap((layout) => modelsOf(manifest.name, layout).map((model) => `${model} ${layout.width}`)),
    );
    const leftMs = this.endMs - performance.now() - tables.size * COSTS_BUDGET_MS;
    return Math.max(TRIAL_MS_MIN, leftMs / trialsOf(present, layouts.length) - this.loadMs);
  }

  private async tryAll(settings: readonly Settings[], trials: Trial[]): Promise<void> {
    for (const [i, each] of settings.entries()) {
      // Two more are needed to be sure.
      if (performance.now() + 3 * (this.trialMs + this.loadMs) > this.endMs) {
        this.leftOut += settings.length - i;
        return;
      }
      try {
        trials.push(await this.measure(each));
      } catch (error) {
        // The others are not lost for one whose files are gone or that does not load.
        if (!(error instanceof CliError)) throw error;
        this.request.onStep(`left out: ${error.message}`);
      }
    }
  }

  /** Rows as tensors. */
  private async prepare(): Promise<void> {
    const { config, manifest, rows, present } = this.request;
    await this.withNode(present, async (node, model) => {
      const instances =
        rows === null ? madeUpInstances(node.catalog.find(manifest.name, manifest.version)) : await readInstances(rows, config);
      for (const instance of instances) this.items.push(...(await node.prepare(model, [instance])).items);
      this.meanRow = meanRowOf(this.items, node.catalog.find(manifest.name, manifest.version).signature);
    });
  }

  private async predictLayouts(): Promise<Prediction[]> {
    const { config, manifest, onStep, place, present } = this.request;
    const { item, length } = this.meanRow;
    const { cpus, lane } = place;
    const { width } = present.layout;
    const facts = await measureParallel({ config, manifest, onStep, cpus, lane, width, shape: { rows: 1, length }, item });
    return layoutsOf(facts, present.layout).map((layout) => predict(layout, facts));
  }

  private async measure(settings: Settings): Promise<Trial> {
    const { config, manifest, onTrial } = this.request;
    return this.withNode(settings, async (node, model) => {
      for (const each of node.models) await this.setCosts(node, each, settings.layout);
      const load = { node, model, items: this.items, timeoutMs: manifest.timeoutMs ?? config.realtime.timeoutMs };
      const { stages, replicas } = settings.layout;
      const rowsPerSecond = await throughput(
        { ...load, durationMs: THROUGHPUT_PART * this.trialMs },
        { rows: settings.runRowsMax, executors: stages * replicas },
      );
      if (this.load === null && rowsPerSecond === 0)
        throw new CliError('no row was answered in the time of a trial; give a larger --budget');
      this.load ??= Math.max(1, LOAD_PART * rowsPerSecond);
      const trial = { settings, rowsPerSecond, p99Ms: await p99Ms({ ...load, durationMs: P99_PART * this.trialMs }, this.load) };
      onTrial(trial);
      return trial;
    });
  }

  /** What runs of so many threads cost, by which a worker decides how many rows share one: known, or measured now. */
  private async setCosts(node: LocalNode, model: LocalModel, { width }: Layout): Promise<void> {
    const { config } = this.request;
    const { manifest, name } = model.entry;
    const signature = node.reportOf(model)?.signature ?? null;
    if (manifest === null || !hasFile(manifest) || signature === null) return;
    const key = await cpuCostKey(manifest.modelPath, width, config);
    const id = costKeyId(key);
    const known = new CostStore(config.dataDir).read(id);
    if (known?.finished === true) this.costs.set(id, known.grid);
    if (!this.costs.has(id))
      await calibrate({
        store: new CostStore(this.folder),
        id,
        key,
        known: null,
        model: name,
        phases: planCells(signature, manifest.text?.maxTokens ?? null).slice(0, 1),
        budgetMs: COSTS_BUDGET_MS,
        limits: COST_LIMITS,
        signal: new AbortController().signal,
        measure: ({ rows, length }) => node.measure(model, { rows, length }),
        onCell: () => undefined,
        onTable: (grid) => void this.costs.set(id, grid),
      });
    const costs = this.costs.get(id);
    if (costs !== undefined) node.setCostTable(model, costs);
  }

  /** A node of its own with these settings, and the model that callers name in it. */
  private async withNode<T>(settings: Settings, use: (node: LocalNode, model: LocalModel) => Promise<T>): Promise<T> {
    const { config, manifest, place } = this.request;
    const { runRowsMax, runTokensMax, layout } = settings;
    const node = await LocalNode.start({
      config,
      modelsDir: this.modelsDirOf(layout),
      cpuSets: cpuSetsOf(manifest.name, layout, place.cpus),
      lane: place.lane,
      // Made-up rows repeat: equal ones must not be answered by one run.
      overrides: { runRowsMax, runTokensMax, executorThreads: layout.width, deduplicate: false },
    });
    this.loadMs = Math.max(this.loadMs, node.loadMs);
    try {
      const name = calledModel(manifest.name, layout);
      const model = node.models.findLast(({ entry }) => entry.name === name);
      const report = model === undefined ? null : node.reportOf(model);
      if (model === undefined || report?.state !== 'ready')
        throw new CliError(`${name} cannot be loaded: ${report?.reason ?? model?.entry.reason ?? 'unknown reason'}`);
      return await use(node, model);
    } finally {
      await node.close();
    }
  }

  /** Links to the files that a layout runs. */
  private modelsDirOf(layout: Layout): string {
    const { config, manifest } = this.request;
    const { name, version, modelPath } = manifest;
    const modelsDir = join(this.folder, `stages-${layout.stages}`);
    if (existsSync(modelsDir)) return modelsDir;
    if (layout.stages === 1)
      return new ScratchRepository(modelsDir, name, versionFiles(config.modelsDir, name, version, modelPath)).modelsDir;
    for (const each of [...modelsOf(name, layout), calledModel(name, layout)]) {
      mkdirSync(dirname(join(modelsDir, each)), { recursive: true });
      symlinkSync(resolve(config.modelsDir, each), join(modelsDir, each));
    }
    return modelsDir;
  }
}

/** Lengths are those along the axis that varies; 1: none does. */
function meanRowOf(items: readonly InferenceItem[], { inputs }: ModelSignature): { item?: InferenceItem; length: number } {
  const varying = inputs.flatMap(({ name, axes }) => axes.flatMap((axis, d) => (axis.startsWith('sequence') ? { name, d } : [])))[0];
  if (varying === undefined) return { item: items[0], length: 1 };
  const lengths = items.map((item) => item.inputs.find(({ name }) => name === varying.name)?.shape[varying.d] ?? 1);
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  const distances = lengths.map((length) => Math.abs(length - mean));
  const nearest = distances.indexOf(Math.min(...distances));
  return { item: items[nearest], length: lengths[nearest] ?? 1 };
}
