import { createHash } from 'node:crypto';
import { ELSEWHERE, stepName, type GraphPlan, type GraphStepPlan, type ModelReport, type ModelSignature } from '@app/contracts';
import { joinSignatures, type JoinedGraph } from '@app/models';

/** One step with what it needs to run. */
export interface Step extends GraphStepPlan {
  /** For messages and metrics. */
  label: string;
  /** Places of the steps whose tensors it takes. */
  needs: readonly number[];
}

/** What is known of the model of a step. */
export type StepReport = Pick<ModelReport, 'state' | 'reason' | 'signature' | 'remoteFiles'>;

export type GraphState = Pick<ModelReport, 'state' | 'reason' | 'remoteFiles'>;

/** One revision of a graph, and what is known of it by what its steps' models are. */
export class Graph {
  readonly steps: readonly Step[];
  /** Tensors that steps take. */
  readonly taken: ReadonlySet<string>;
  private outcome: JoinedGraph | { problems: string[] } | null = null;
  /** What the steps of other nodes took, made and were when the outcome was found: they may get other files. */
  private elsewhere = '';
  private files: readonly (string | undefined)[] = [];
  private allFiles: string | undefined;

  constructor(readonly plan: GraphPlan) {
    this.taken = new Set(plan.steps.flatMap(({ inputMap }) => Object.values(inputMap)));
    const makers = new Map(plan.steps.flatMap(({ outputMap }, i) => Object.values(outputMap).map((tensor) => [tensor, i] as const)));
    this.steps = plan.steps.map((step, i) => ({
      ...step,
      label: stepName(step, i),
      needs: [...new Set(Object.values(step.inputMap).flatMap((tensor) => makers.get(tensor) ?? []))],
    }));
  }

  /** Null until every step's model has told its inputs and outputs, and where they do not fit. */
  get joined(): JoinedGraph | null {
    return this.outcome === null || 'problems' in this.outcome ? null : this.outcome;
  }

  /**
   * Takes over what is said of the steps' models. What fits once fits for good, as revisions of this node do not change: a model that is
   * unloaded for a while is loaded for whoever asks.
   */
  judge(reportOf: (step: Step) => StepReport | undefined): GraphState {
    const reports = this.steps.map(reportOf);
    const failed = reports.findIndex((report) => report?.state === 'failed');
    if (failed >= 0) return { state: 'failed', reason: `step ${this.steps[failed]?.label}: ${reports[failed]?.reason ?? 'it failed'}` };
    const known = reports.flatMap((report) => (report?.signature ? [{ ...report, signature: report.signature }] : []));
    if (known.length === reports.length) this.join(known);
    if (this.outcome === null) {
      const waiting = reports.findIndex((report) => report?.reason);
      return { state: 'loading', reason: waiting < 0 ? null : `step ${this.steps[waiting]?.label}: ${reports[waiting]?.reason}` };
    }
    return 'problems' in this.outcome
      ? { state: 'failed', reason: `its steps do not fit: ${this.outcome.problems.join('; ')}` }
      : { state: 'ready', reason: null };
  }

  /** As `ModelReport.remoteFiles`, by step. */
  get remoteFilesOfSteps(): readonly (string | undefined)[] {
    return this.files;
  }

  /** As `ModelReport.remoteFiles`. */
  get remoteFiles(): string | undefined {
    return this.allFiles;
  }

  /** Texts become rows of their own length, which cannot lie in one tensor. */
  get runsByRow(): boolean {
    return this.steps.some(({ kind }) => kind === 'tokenizer');
  }

  private join(steps: (Omit<StepReport, 'signature'> & { signature: ModelSignature })[]): void {
    const elsewhere = JSON.stringify(steps.map((step, i) => this.steps[i]?.revision === ELSEWHERE && [step.signature, step.remoteFiles]));
    if (this.outcome !== null && elsewhere === this.elsewhere) return;
    this.elsewhere = elsewhere;
    this.files = steps.map(({ remoteFiles }) => remoteFiles);
    const known = this.files.filter((files) => files !== undefined);
    this.allFiles = known.length === 0 ? undefined : createHash('sha256').update(known.join('\n')).digest('hex');
    this.outcome = joinSignatures(
      this.plan,
      steps.map(({ signature }) => signature),
    );
  }
}
