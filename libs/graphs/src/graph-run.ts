import {
  InterleaveError,
  RevisionGone,
  type InferenceItem,
  type InferenceRequest,
  type ItemResult,
  type ItemTiming,
  type StepTiming,
  type Tensor,
} from '@app/contracts';
import type { Graph, Step } from './graph';
import { StopSignal } from './stop-signal';

/** What one item has so far: its tensors by their names in the graph, and the time that it took to make those of each step. */
interface ItemState {
  tensors: Map<string, Tensor>;
  /** By place of the step: when all that it takes and makes was there. */
  timings: (ItemTiming | undefined)[];
  steps: (StepTiming | undefined)[];
  error: InterleaveError | null;
  /** Outputs of the graph that the caller wants. */
  wanted: ReadonlySet<string>;
}

const NO_TIME: ItemTiming = { queueUs: 0, runUs: 0, runRows: 0, startedNs: 0 };

/** Runs the items of one step; as `InferenceBackend.infer`. */
export type RunStep = (step: Step, request: InferenceRequest) => Promise<(ItemResult | InterleaveError)[]>;

/** Called with how long the items of one request were in a step, in seconds. */
export type OnStep = (graph: Graph, step: Step, seconds: number) => void;

/** Items of one request on their way through a graph: each step runs once the steps are done that it takes from. */
export class GraphRun {
  private readonly startedMs = performance.now();
  private readonly items: ItemState[];
  private readonly stop: StopSignal;
  /** Those of now: steps that come later run on no others. */
  private readonly remoteFiles: readonly (string | undefined)[];

  constructor(
    private readonly graph: Graph,
    private readonly request: InferenceRequest,
    private readonly runStep: RunStep,
    private readonly onStep: OnStep,
  ) {
    const { items, signal } = request;
    this.stop = new StopSignal(signal);
    this.remoteFiles = graph.remoteFilesOfSteps;
    this.items = items.map(({ inputs, outputs }) => ({
      tensors: new Map(inputs.map((tensor) => [tensor.name, tensor])),
      timings: [],
      steps: [],
      error: null,
      wanted: new Set(outputs ?? graph.plan.outputs),
    }));
  }

  /** As `InferenceBackend.infer`. */
  async run(): Promise<(ItemResult | InterleaveError)[]> {
    const done: Promise<void>[] = [];
    for (const [i, step] of this.graph.steps.entries())
      done.push(
        this.runAfter(
          step,
          i,
          step.needs.flatMap((need) => done[need] ?? []),
        ),
      );
    try {
      await Promise.all(done);
    } catch (error) {
      this.stop.abort(); // the steps that still run are of no use
      await Promise.allSettled(done);
      throw error;
    } finally {
      this.stop.release();
    }
    return this.items.map((item) => item.error ?? this.resultOf(item));
  }

  private async runAfter(step: Step, index: number, needs: Promise<void>[]): Promise<void> {
    await Promise.all(needs);
    const open = this.items.filter((item) => item.error === null && this.outputsOf(step, item).length > 0);
    if (open.length === 0) return;
    const { timeoutMs, items: _, revision: __, ...rest } = this.request;
    const startedMs = performance.now();
    const { model, version, revision } = step;
    const results = await this.runStep(step, {
      ...{ ...rest, model, version, revision, signal: this.stop },
      remoteFiles: this.remoteFiles[index] ?? null,
      items: open.map((item) => this.itemOf(step, item)),
      timeoutMs: timeoutMs === null ? null : timeoutMs - (startedMs - this.startedMs),
    }).catch((error: unknown) => {
      throw blame(step, error);
    });
    this.onStep(this.graph, step, (performance.now() - startedMs) / 1000);
    open.forEach((item, i) => this.take(item, { step, index, result: results[i] }));
  }

  private take(item: ItemState, of: { step: Step; index: number; result: ItemResult | InterleaveError | undefined }): void {
    const { step, index, result } = of;
    if (result === undefined || result instanceof InterleaveError) {
      item.error ??= blame(step, result ?? new InterleaveError('internal', 'no answer came')) as InterleaveError;
      return;
    }
    for (const tensor of result.outputs) {
      const name = step.outputMap[tensor.name];
      if (name !== undefined) item.tensors.set(name, { ...tensor, name });
    }
    const before = step.needs.map((need) => item.timings[need] ?? NO_TIME);
    item.timings[index] = added(longest(before), result.timing);
    item.steps[index] = { step: step.label, us: result.timing.queueUs + result.timing.runUs };
  }

  private itemOf(step: Step, item: ItemState): InferenceItem {
    const inputs = Object.entries(step.inputMap).flatMap(([name, of]) => {
      const tensor = item.tensors.get(of);
      return tensor === undefined ? [] : [{ ...tensor, name }];
    });
    return { inputs, outputs: this.outputsOf(step, item) };
  }

  /** What the step has to make, by the names of its model. */
  private outputsOf({ outputMap }: Step, { wanted }: ItemState): string[] {
    return Object.keys(outputMap).filter((own) => {
      const tensor = outputMap[own] as string;
      return this.graph.taken.has(tensor) || wanted.has(tensor);
    });
  }

  private resultOf({ tensors, timings, steps, wanted }: ItemState): ItemResult {
    const names = this.graph.plan.outputs.filter((name) => wanted.has(name));
    const outputs = names.flatMap((name) => tensors.get(name) ?? []);
    const startedNs = Math.min(...timings.flatMap((timing) => (timing?.startedNs ? [timing.startedNs] : [])));
    const last = longest(timings.map((timing) => timing ?? NO_TIME));
    const ran = steps.filter((step) => step !== undefined);
    return { outputs, timing: { ...last, startedNs: Number.isFinite(startedNs) ? startedNs : 0, steps: ran } };
  }
}

/** The same error, which says in which step it was. What is prepared anew stays as it is. */
function blame({ label }: Step, error: unknown): unknown {
  if (!(error instanceof InterleaveError) || error instanceof RevisionGone) return error;
  const { code, message, retryAfterSeconds } = error;
  return new InterleaveError(code, `step ${label}: ${message}`, { cause: error, ...(retryAfterSeconds !== null && { retryAfterSeconds }) });
}

function longest(timings: readonly ItemTiming[]): ItemTiming {
  return timings.reduce((best, timing) => (timing.queueUs + timing.runUs > best.queueUs + best.runUs ? timing : best), NO_TIME);
}

/** Of steps one after the other; the rows are those of the largest run. */
function added(before: ItemTiming, own: ItemTiming): ItemTiming {
  return {
    queueUs: before.queueUs + own.queueUs,
    runUs: before.runUs + own.runUs,
    runRows: Math.max(before.runRows, own.runRows),
    startedNs: own.startedNs,
  };
}
