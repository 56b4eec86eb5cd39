import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '@app/config';
import type { CostGrid, InferenceItem } from '@app/contracts';
import { calibrate, costKeyId, CostStore, planCells, type FileManifest } from '@app/models';
import { readTopology } from '@app/system';
import { CliError } from '../cli-error';
import { cpuCostKey } from '../cost-key';
import { madeUpInstances, readInstances } from '../instances';
import { findModel, LocalNode } from '../local-node';
import { ScratchRepository, versionFiles } from '../optimize/scratch-repository';
import { p99Ms, throughput } from './load';
import { bestOf, candidates, isSame, p99Goal, SEARCH_ORDER, trialsOf, type Settings, type Trial } from './search';

/** Of the time of a trial: the rest is for loading the model and for the p99. */
const THROUGHPUT_PART = 0.35;
const P99_PART = 0.5;
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
  /** Path of JSON Lines; null: rows are made up. */
  rows: string | null;
  budgetMs: number;
  onTrial: (trial: Trial) => void;
}

export interface TuneResult {
  trials: Trial[];
  /** Measured once more, in turns. */
  present: Trial;
  best: Trial;
  goalMs: number;
}

/** Measures settings one after the other, each in a worker of its own, on an otherwise idle machine. */
export async function tune(request: TuneRequest): Promise<TuneResult> {
  const folder = mkdtempSync(join(tmpdir(), 'interleave-autotune-'));
  try {
    return await new Tuner(folder, request).run();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Tuner {
  private readonly modelsDir: string;
  private readonly trialMs: number;
  private readonly cpus = readTopology().effective;
  private items: InferenceItem[] = [];
  private costs: CostGrid | null = null;
  /** Rows a second at which the p99 is measured; null until the present settings are known. */
  private load: number | null = null;

  constructor(
    private readonly folder: string,
    private readonly request: TuneRequest,
  ) {
    const { config, manifest, present, budgetMs } = request;
    const files = versionFiles(config.modelsDir, manifest.name, manifest.version, manifest.modelPath);
    this.modelsDir = new ScratchRepository(join(folder, 'models'), manifest.name, files).modelsDir;
    this.trialMs = Math.max(TRIAL_MS_MIN, budgetMs / trialsOf(present, this.cpus.length));
  }

  async run(): Promise<TuneResult> {
    const { present, manifest, budgetMs } = this.request;
    const endMs = performance.now() + budgetMs;
    await this.prepare();
    const first = await this.measure(present);
    const goalMs = p99Goal(first, manifest.sloMs);
    const trials = [first];
    let best = first;
    for (const key of SEARCH_ORDER) {
      for (const settings of candidates(key, best.settings, this.cpus.length)) {
        // Two more are needed to be sure.
        if (performance.now() + 3 * this.trialMs > endMs) break;
        trials.push(await this.measure(settings));
      }
      best = bestOf(trials, first, goalMs);
    }
    if (isSame(best.settings, present)) return { trials, present: first, best: first, goalMs };
    const again = await this.measure(best.settings);
    const presentAgain = await this.measure(present);
    return { trials, present: presentAgain, best: bestOf([again], presentAgain, p99Goal(presentAgain, manifest.sloMs)), goalMs };
  }

  /** Rows as tensors, and what runs cost, by which a worker decides how many rows share one. */
  private async prepare(): Promise<void> {
    const { config, manifest, rows } = this.request;
    const node = await this.start(this.request.present);
    try {
      const model = findModel(node, manifest.version);
      const report = node.reportOf(model);
      if (report?.state !== 'ready' || report.signature === null)
        throw new CliError(`the model cannot be loaded: ${report?.reason ?? model.entry.reason ?? 'unknown reason'}`);
      const instances =
        rows === null ? madeUpInstances(node.catalog.find(manifest.name, manifest.version)) : await readInstances(rows, config);
      for (const instance of instances) this.items.push(...(await node.prepare(model, [instance])).items);
      const key = await cpuCostKey(manifest.modelPath, config);
      const id = costKeyId(key);
      const known = new CostStore(config.dataDir).read(id);
      this.costs = known?.finished === true ? known.grid : null;
      if (this.costs !== null) return;
      await calibrate({
        store: new CostStore(this.folder),
        id,
        key,
        known: null,
        model: manifest.name,
        phases: planCells(report.signature, manifest.text?.maxTokens ?? null).slice(0, 1),
        budgetMs: COSTS_BUDGET_MS,
        limits: COST_LIMITS,
        signal: new AbortController().signal,
        measure: ({ rows: count, length }) => node.worker.measure({ revision: model.revision ?? -1, rows: count, length, trims: false }),
        onCell: () => undefined,
        onTable: (grid) => (this.costs = grid),
      });
    } finally {
      await node.close();
    }
  }

  private async measure(settings: Settings): Promise<Trial> {
    const { config, manifest, onTrial } = this.request;
    const node = await this.start(settings);
    try {
      const model = findModel(node, manifest.version);
      if (this.costs !== null && model.revision !== null) node.worker.setCostTable(model.revision, this.costs);
      const load = { node, model, items: this.items, timeoutMs: manifest.timeoutMs ?? config.realtime.timeoutMs };
      const rowsPerSecond = await throughput(
        { ...load, durationMs: THROUGHPUT_PART * this.trialMs },
        { rows: settings.runRowsMax, executors: settings.executors },
      );
      this.load ??= Math.max(1, LOAD_PART * rowsPerSecond);
      const trial = { settings, rowsPerSecond, p99Ms: await p99Ms({ ...load, durationMs: P99_PART * this.trialMs }, this.load) };
      onTrial(trial);
      return trial;
    } finally {
      await node.close();
    }
  }

  private start({ runRowsMax, runTokensMax, executors }: Settings): Promise<LocalNode> {
    return LocalNode.start({
      config: this.request.config,
      modelsDir: this.modelsDir,
      cpus: this.cpus.slice(-executors),
      // Made-up rows repeat: equal ones must not be answered by one run.
      overrides: { runRowsMax, runTokensMax, deduplicate: false },
    });
  }
}
