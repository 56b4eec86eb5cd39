import type { InferenceItem, ItemResult, ModelSignature, Stage } from '@app/contracts';
import type { ModelCatalog, ModelView } from '@app/models';
import type { PreparedItems } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { CATALOG } from '../../tokens';
import type { LiveTiming } from '../live-timing';

/** Sizes of runs that are told apart for one model; runs of further sizes count in `execution_count` only. */
const RUN_SIZES_MAX = 256;
const NS_PER_MS = 1e6;

/** Triton's pair: how often, and the sum of the times in nanoseconds. */
export interface DurationStatistic {
  count: number;
  ns: number;
}

/** Triton's `InferStatistics`. */
export interface InferStatistics {
  success: DurationStatistic;
  fail: DurationStatistic;
  queue: DurationStatistic;
  compute_input: DurationStatistic;
  compute_infer: DurationStatistic;
  compute_output: DurationStatistic;
  cache_hit: DurationStatistic;
  cache_miss: DurationStatistic;
}

/** Triton's `InferBatchStatistics`. */
export interface BatchStatistics {
  batch_size: number;
  compute_input: DurationStatistic;
  compute_infer: DurationStatistic;
  compute_output: DurationStatistic;
}

/** Triton's `ModelStatistics`; docs/protocols.md §4.4 says what each number is here. */
export interface ModelStatistics {
  name: string;
  version: string;
  /** Unix milliseconds of the last answer; 0: none yet. */
  last_inference: number;
  inference_count: number;
  execution_count: number;
  inference_stats: InferStatistics;
  response_stats: Record<string, never>;
  batch_stats: BatchStatistics[];
  memory_usage: never[];
}

/** Runs of one size, as the items of this process took part in them. */
interface RunsOfSize {
  /** Fractions of runs add up. */
  runs: number;
  ns: number;
}

class Counts {
  lastInferenceMs = 0;
  rows = 0;
  runs = 0;
  readonly success: DurationStatistic = { count: 0, ns: 0 };
  readonly fail: DurationStatistic = { count: 0, ns: 0 };
  cacheHits = 0;
  cacheMisses = 0;
  readonly stages = new Map<Stage, DurationStatistic>();
  /** Of the model version; what the catalog says of it later may be that it is gone. */
  signature: ModelSignature | null = null;
  /** By rows of the run. */
  readonly bySize = new Map<number, RunsOfSize>();
}

/**
 * What Triton's statistics extension tells of live requests, counted since this process started, over all protocols. Bounded
 * by the models of the repository.
 */
@Injectable()
export class LiveStatistics {
  private readonly counts = new Map<string, Counts>();

  constructor(@Inject(CATALOG) private readonly catalog: ModelCatalog) {
    catalog.onChange(() => this.forgetGone());
  }

  /** A request that was answered. One without items, as of tokenize, is no inference. */
  succeeded(prepared: PreparedItems, timing: LiveTiming, results: readonly ItemResult[]): void {
    if (results.length === 0) return;
    const counts = this.countsOf(prepared);
    counts.lastInferenceMs = Date.now();
    counts.success.count++;
    for (const [stage, ms] of timing.stages) {
      const ns = ms * NS_PER_MS;
      const ofStage = counts.stages.get(stage) ?? { count: 0, ns: 0 };
      counts.success.ns += ns;
      counts.stages.set(stage, { count: ofStage.count + 1, ns: ofStage.ns + ns });
    }
    counts.cacheHits += timing.cache?.hits ?? 0;
    counts.cacheMisses += timing.cache?.misses ?? 0;
    counts.signature = this.catalog.ofRevision(prepared.revision)?.model.signature ?? counts.signature;
    for (const [i, item] of prepared.items.entries()) countRun(counts, rowsOf(item, counts.signature), results[i] as ItemResult);
  }

  /** A request that was checked and then refused, given up or failed by its model, `ms` after it came. */
  failed(prepared: PreparedItems, ms: number): void {
    const { fail } = this.countsOf(prepared);
    fail.count++;
    fail.ns += ms * NS_PER_MS;
  }

  /** Of one version, all versions of a model, or all models of this catalog. Throws `model_not_found`. */
  statistics(catalog: ModelView, model: string | null, version: string | null): { model_stats: ModelStatistics[] } {
    const entries = model === null ? catalog.list() : catalog.entriesOf(model, version);
    return { model_stats: entries.map((entry) => statisticsOf(entry, this.counts.get(keyOf(entry)) ?? new Counts())) };
  }

  /** Versions come and go. */
  private forgetGone(): void {
    const there = new Set(this.catalog.list().map(keyOf));
    for (const key of this.counts.keys()) if (!there.has(key)) this.counts.delete(key);
  }

  private countsOf({ model, version }: PreparedItems): Counts {
    const key = keyOf({ name: model, version });
    const counts = this.counts.get(key) ?? new Counts();
    this.counts.set(key, counts);
    return counts;
  }
}

/** Of a run of 8 rows an item with 2 of them counts a quarter: all its items together count one. Kept answers ran nowhere. */
function countRun(counts: Counts, rows: number, { timing }: ItemResult): void {
  const isKept = timing.runRows === 0 && timing.runUs === 0;
  if (isKept) {
    counts.rows += rows;
    return;
  }
  const size = Math.max(timing.runRows, rows);
  const share = size === 0 ? 1 : rows / size;
  counts.rows += rows;
  counts.runs += share;
  if (!counts.bySize.has(size) && counts.bySize.size >= RUN_SIZES_MAX) return;
  const ofSize = counts.bySize.get(size) ?? { runs: 0, ns: 0 };
  ofSize.runs += share;
  ofSize.ns += share * timing.runUs * 1000;
  counts.bySize.set(size, ofSize);
}

/** An item without a batch dimension is one inference, as in Triton. */
function rowsOf({ inputs }: InferenceItem, signature: ModelSignature | null): number {
  for (const { name, shape } of inputs) {
    const axis = signature?.inputs.find((spec) => spec.name === name)?.axes.indexOf('batch') ?? -1;
    if (axis >= 0) return shape[axis] ?? 1;
  }
  return 1;
}

function statisticsOf({ name, version }: { name: string; version: string }, counts: Counts): ModelStatistics {
  const { success, fail } = counts;
  const durations = (...stages: Stage[]): DurationStatistic => {
    const parts = stages.map((stage) => counts.stages.get(stage) ?? { count: 0, ns: 0 });
    return { count: Math.max(...parts.map(({ count }) => count)), ns: Math.round(parts.reduce((sum, { ns }) => sum + ns, 0)) };
  };
  return {
    name,
    version,
    last_inference: counts.lastInferenceMs,
    inference_count: counts.rows,
    execution_count: Math.round(counts.runs),
    inference_stats: {
      success: { count: success.count, ns: Math.round(success.ns) },
      fail: { count: fail.count, ns: Math.round(fail.ns) },
      queue: durations('enqueue', 'coalesce'),
      compute_input: durations('tokenize'),
      compute_infer: durations('run'),
      compute_output: durations('respond'),
      cache_hit: { count: counts.cacheHits, ns: 0 },
      cache_miss: { count: counts.cacheMisses, ns: 0 },
    },
    response_stats: {},
    batch_stats: [...counts.bySize].sort(([a], [b]) => a - b).map(([size, runs]) => batchStatistics(size, runs)),
    memory_usage: [],
  };
}

/** The copies before and after a run belong to requests, and are in their `compute_input` and `compute_output`. */
function batchStatistics(size: number, { runs, ns }: RunsOfSize): BatchStatistics {
  const count = Math.round(runs);
  return {
    batch_size: size,
    compute_input: { count, ns: 0 },
    compute_infer: { count, ns: Math.round(ns) },
    compute_output: { count, ns: 0 },
  };
}

const keyOf = ({ name, version }: { name: string; version: string }): string => `${name}\n${version}`;
