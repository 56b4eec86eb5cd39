import { createHash } from 'node:crypto';
import { ELSEWHERE, stepName, type GraphPlan, type GraphStepPlan, type Lane } from '@app/contracts';
import type { GraphStep, RepositoryEntry } from '@app/models';
import type { Lifecycle } from './lifecycle';
import type { RevisionNumbers } from './numbers';
import { isOnDemand, isRefused } from './placed';
import { isFailing, revisionsOf, type Revision, type VersionState } from './revision';
import type { Versions } from './versions';

export interface GraphsOptions {
  versions: Versions;
  numbers: RevisionNumbers;
  lifecycle: Lifecycle;
  laneOf: (workerId: string) => Lane;
  /** Lanes that the node's workers serve. */
  lanes: () => readonly Lane[];
}

/** How a step stands: its revision, nothing yet, or why the graph cannot have it. */
type Found = { plan: GraphStepPlan } | { waitsFor: string } | { problem: string };

/**
 * Keeps graphs in line with the models of their steps: other files of a step make another revision of the graph, which takes over as any
 * other does, and what is prepared for the one before still finds the step's former files.
 */
export class Graphs {
  constructor(private readonly options: GraphsOptions) {}

  /** Looks at the steps of every graph. */
  settle(nowMs: number): void {
    for (const version of this.options.versions.all()) if (version.graphFiles !== null) this.settleGraph(version, nowMs);
  }

  /** Versions that graphs which are to be loaded have as steps. */
  needed(): ReadonlySet<VersionState> {
    const graphs = this.options.versions.all().filter(({ isToLoad }) => isToLoad);
    return new Set(graphs.flatMap((version) => this.stepsOf(version)));
  }

  /** Those of graphs with `pinned` stay loaded as these do. */
  pinned(): ReadonlySet<VersionState> {
    const graphs = this.options.versions.all().filter(({ isToLoad, entry }) => isToLoad && entry?.manifest?.pinned === true);
    return new Set(graphs.flatMap((version) => this.stepsOf(version)));
  }

  /** The versions that a graph is made of, as far as they are there; empty for a model with a file of its own. */
  stepsOf({ entry, graphFiles }: VersionState): VersionState[] {
    const steps = entry?.manifest?.graph?.steps ?? [];
    return steps.flatMap(({ model }, i) => this.options.versions.find(model, graphFiles?.versions[i] ?? '') ?? []);
  }

  /** With the revisions that the steps of these graphs run on. */
  withSteps(revisions: ReadonlySet<number>): ReadonlySet<number> {
    const own = this.revisions().filter(({ number }) => revisions.has(number));
    return new Set([...revisions, ...own.flatMap(stepRevisions)]);
  }

  /** Revisions that graphs run on which answer, are about to, or answered a moment ago. */
  inUse(nowMs: number): ReadonlySet<number> {
    const isLeft = (version: VersionState, revision: Revision): boolean =>
      version.leaving.some((leaving) => leaving.revision === revision && leaving.untilMs <= nowMs);
    const own = this.options.versions.all().flatMap((version) => revisionsOf(version).filter((revision) => !isLeft(version, revision)));
    return new Set(own.flatMap(stepRevisions));
  }

  private revisions(): Revision[] {
    return this.options.versions.all().flatMap(revisionsOf);
  }

  private settleGraph(version: VersionState, nowMs: number): void {
    const { entry, graphFiles } = version;
    const { lifecycle } = this.options;
    this.unloadWithoutStep(version, nowMs);
    if (entry === null || !entry.manifest?.graph || graphFiles === null) return;
    const { steps } = entry.manifest.graph;
    const versions = steps.map((step, i) => graphFiles.versions[i] || this.chosenVersion(step));
    const found = steps.map((step, i) => this.find(step, i, { version: versions[i] ?? '', entry }));
    const plans = found.flatMap((each) => ('plan' in each ? [each.plan] : []));
    const problems = found.flatMap((each) => ('problem' in each ? [each.problem] : []));
    const isKnown = plans.length === steps.length;
    version.graphFiles = { ...graphFiles, versions, steps: isKnown ? plans : null };
    if (problems.length > 0) {
      const fingerprint = combined(graphFiles.fingerprint, problems);
      if (version.refusedFingerprint === fingerprint) return;
      version.entry = { ...entry, fingerprint };
      lifecycle.refuse(version, problems.join('; '), nowMs);
      return;
    }
    if (isRefused(version) && !isKnown) version.refusedFingerprint = null; // its problem is over
    if (isKnown)
      version.entry = {
        ...entry,
        fingerprint: combined(
          graphFiles.fingerprint,
          plans.map(({ revision }) => String(revision)),
        ),
      };
    else if (version.serving === null) version.reason = found.flatMap((each) => ('waitsFor' in each ? [each.waitsFor] : [])).join('; ');
  }

  /** A graph whose step is not there any more, nor comes back for whoever asks, ends as that did. */
  private unloadWithoutStep(version: VersionState, nowMs: number): void {
    const { serving, next } = version;
    const { lifecycle, versions } = this.options;
    const steps = (serving ?? next?.revision)?.graph?.steps ?? [];
    for (const [i, step] of steps.entries()) {
      if (step.revision === ELSEWHERE) continue;
      const state = versions.find(step.model, step.version);
      if (state !== undefined && (state.serving !== null || state.next !== null || isOnDemand(state))) continue;
      lifecycle.unload(version, `step ${stepName(step, i)}: its model is not loaded: ${state?.reason ?? 'its files are gone'}`, nowMs);
      return;
    }
  }

  /** The newest whose files are there; empty: none is. */
  private chosenVersion({ model, version }: GraphStep): string {
    return version ?? this.options.versions.ofModel(model).findLast(({ entry }) => entry !== null)?.version ?? '';
  }

  private find(step: GraphStep, index: number, of: { version: string; entry: RepositoryEntry }): Found {
    const { versions, numbers } = this.options;
    const label = `step ${stepName(step, index)}`;
    const state = versions.find(step.model, of.version);
    const { kind, model, inputMap, outputMap } = step;
    if (state === undefined || (state.entry === null && state.serving === null))
      return step.fleet
        ? { plan: { kind, model, version: of.version, revision: ELSEWHERE, inputMap, outputMap } }
        : { problem: `${label}: ${this.absence(step)}` };
    if (state.graphFiles !== null) return { problem: `${label} is a graph of models itself; name the models of its steps in its place` };
    const revision = state.serving?.number ?? (isOnDemand(state) ? this.numberOf(state, numbers) : null);
    if (revision !== null) {
      const problem = this.laneProblem(state, of.entry) ?? (kind === 'model' ? duplicatesProblem(state, of.entry) : null);
      return problem === null
        ? { plan: { kind, model, version: of.version, revision, inputMap, outputMap } }
        : { problem: `${label} ${problem}` };
    }
    if (isRefused(state) || isFailing(state))
      return { problem: `${label}: its model cannot be served: ${state.reason ?? 'unknown reason'}` };
    if (!state.isToLoad && state.command === 'unload') return { problem: `${label}: its model is not loaded: ${state.reason ?? ''}` };
    return { waitsFor: `${label}: its model is loading` };
  }

  private absence({ model, version }: GraphStep): string {
    const own = this.options.versions.ofModel(model).filter(({ entry }) => entry !== null);
    if (own.length === 0)
      return `there is no model "${model}" in the repository; add it, name another one, or write "fleet: true" where other nodes serve it`;
    return `model "${model}" has no version ${version ?? ''}; it has ${own.map((state) => state.version).join(', ')}`;
  }

  private numberOf({ name, version, entry }: VersionState, numbers: RevisionNumbers): number | null {
    return entry === null ? null : numbers.numberOf(name, version, entry.fingerprint);
  }

  /** Why the graph's lanes do not have the step; null: they do, as far as it is loaded. */
  private laneProblem({ serving }: VersionState, { manifest }: RepositoryEntry): string | null {
    if (serving === null) return null;
    const own = new Set([...serving.plans.keys()].map(this.options.laneOf));
    const missing = this.options.lanes().filter((lane) => (manifest?.lanes ?? [lane]).includes(lane) && !own.has(lane));
    if (missing.length === 0) return null;
    return `is not placed in the ${missing.join(' and ')} lane; place its model there, or write "lanes: [${[...own].join(', ')}]" into the model.yaml of the graph`;
  }
}

/** Equal texts of one request are one item of the graph, and equal items in flight one run of a step: both, or neither. */
function duplicatesProblem({ entry }: VersionState, { manifest }: RepositoryEntry): string | null {
  const [own, ofStep] = [manifest?.deduplicate ?? true, entry?.manifest?.deduplicate ?? true];
  if (own === ofStep) return null;
  return own
    ? 'has "deduplicate: false"; write it into the model.yaml of the graph too'
    : 'runs equal inputs once; write "deduplicate: false" into its model.yaml too, or take it out of that of the graph';
}

/** What is known of a graph whose files were just read; null: they have a file of their own, or cannot be used. */
export function graphFilesOf(entry: RepositoryEntry | null, before: GraphPlan | undefined = undefined): VersionState['graphFiles'] {
  if (!entry?.manifest?.graph) return null;
  const { fingerprint } = entry;
  // A scheduler that takes over stays with the versions that the one before chose.
  const versions = before?.fingerprint === fingerprint ? before.steps.map(({ version }) => version) : [];
  return { fingerprint, versions, steps: null };
}

/** Of the versions that are there: the graphs that clients run. */
export function placedGraphs(versions: readonly VersionState[], nowMs: number): GraphPlan[] {
  return versions.flatMap(({ serving, next, leaving }) => {
    const graphOf = (revision: Revision | undefined): GraphPlan[] => (revision?.graph ? [revision.graph] : []);
    const left = leaving.flatMap(({ revision, untilMs, isPinnedByBatch }) => {
      if (nowMs < untilMs) return graphOf(revision);
      return isPinnedByBatch ? graphOf(revision).map((graph) => ({ ...graph, lanes: graph.lanes.filter((lane) => lane === 'batch') })) : [];
    });
    return [...left, ...graphOf(serving ?? undefined), ...graphOf(next?.revision)];
  });
}

const stepRevisions = ({ graph }: Revision): number[] => (graph?.steps ?? []).map(({ revision }) => revision);

function combined(fingerprint: string, parts: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([fingerprint, ...parts]))
    .digest('hex')
    .slice(0, 32);
}
