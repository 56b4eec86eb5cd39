import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Lane, ModelReport, PlacedRelease, PlacedVersion, Placement, RevisionBinding, Task } from '@app/contracts';
import { InterleaveError } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import type { ModelManifest } from './manifest';
import { modelNotFound, ModelNotReady, quote, unknownModel } from './catalog-errors';
import {
  applyReports,
  bindingProblem,
  changedRecord,
  hasChangedFiles,
  RecordOpener,
  servedModel,
  type Files,
  type ModelRecord,
} from './catalog-record';
import { splitLabel } from './label';
import { fingerprintOfVersion, readVersion, scanRepository } from './repository';
import { NO_POLICY } from './serving-policy';
import type { CatalogEntry, ModelCatalog, PlacementSource, ServedModel, ServingPolicy } from './types';

/** How often it is looked whether files that had changed are back. */
const LOOK_AGAIN_MS = 1000;
/** The label of the version that requests get which name none. */
const STABLE = 'stable';

/**
 * The catalog of a process that answers in one lane. As long as the placement lists no versions it has everything of the
 * repository as it is now; then it follows the placement: what answers changes at once, and the files of new revisions are
 * read beside other work. Models start as `loading` (or `failed`, when their files cannot be served or name other lanes only)
 * until `applyReports` says otherwise. Resolves when it has read what there is.
 */
export async function openModelCatalog(modelsDir: string, lane: Lane, log: Logger, source?: PlacementSource): Promise<ModelCatalog> {
  const catalog = new Catalog({ modelsDir, lane, log });
  const follow = (): Promise<void> => catalog.follow(source?.placement ?? null);
  if (source?.placement?.versions === undefined) await catalog.openAll();
  else await follow();
  source?.onChange(() => void follow());
  await follow(); // it may have changed meanwhile
  return catalog;
}

/** What is found by a version: a record, or what the scheduler says in its place. */
/** `isInService`: the scheduler has switched to it. */
type Listed = CatalogEntry & { policy: ServingPolicy; record: ModelRecord | null; onDemand: boolean; isInService: boolean };

class Catalog implements ModelCatalog {
  private readonly opener: RecordOpener;
  /** Of the whole repository; empty once a placement is followed. */
  private found: ModelRecord[] = [];
  /** By revision. */
  private readonly open = new Map<number, ModelRecord>();
  private placement: Placement | null = null;
  private readonly releases = new Map<string, PlacedRelease>();
  /** Of versions that nobody has loaded, by `versionKey`. */
  private readonly tasks = new Map<string, Task>();
  private reports: ModelReport[] = [];
  private reading: Promise<void> | null = null;
  /** The placement has changed since `reading` looked at it. */
  private isBehind = false;
  private lookTimer: NodeJS.Timeout | null = null;
  private listed: Listed[] = [];
  /** Newest version first. */
  private readonly byName = new Map<string, Listed[]>();
  private readonly listeners = new Set<() => void>();

  constructor(private readonly files: Files) {
    this.opener = new RecordOpener(files);
  }

  async openAll(): Promise<void> {
    const entries = scanRepository(this.files.modelsDir);
    const comparesTokenizers = entries.some(({ manifest }) => (manifest?.degrade.length ?? 0) > 0);
    for (const entry of entries) this.found.push(await this.opener.open(entry, null, comparesTokenizers));
    this.refresh();
  }

  list(): CatalogEntry[] {
    return this.listed.map(({ name, version, task, state, reason, signature, revision, changeRefusal }) => {
      return { name, version, task, state, reason, signature, revision, changeRefusal };
    });
  }

  entriesOf(name: string, version: string | null): CatalogEntry[] {
    const { model, versions, wanted } = this.named(name, version);
    const entries = this.list().filter((entry) => entry.name === model && (wanted === null || entry.version === wanted));
    if (entries.length === 0) throw noVersion(model, wanted, versions);
    return entries;
  }

  find(name: string, version: string | null): ServedModel {
    const { model, candidates } = this.candidates(name, version);
    // What was unloaded to make room counts as there: else another version would answer for want of memory.
    const chosen = candidates.find(({ state, onDemand }) => state === 'ready' || onDemand);
    const served = chosen?.state === 'ready' && chosen.record !== null ? servedModel(chosen.record) : null;
    if (served !== null) return served;
    throw unavailable(model, chosen === undefined ? candidates : [chosen]);
  }

  policyOf(name: string, version: string | null): ServingPolicy | null {
    const candidates = attempt(() => this.candidates(name, version).candidates) ?? [];
    return (candidates.find(({ state }) => state === 'ready') ?? candidates[0])?.policy ?? null;
  }

  ofRevision(revision: number): { model: ServedModel; policy: ServingPolicy } | null {
    const record = this.recordOf(revision);
    const model = record === undefined ? null : servedModel(record);
    return record === undefined || model === null ? null : { model, policy: record.policy };
  }

  failureOf(revision: number): string | null {
    const record = this.recordOf(revision);
    return record?.state === 'failed' ? (record.reason ?? 'unknown reason') : null;
  }

  releaseOf(name: string): PlacedRelease | null {
    return this.releases.get(name) ?? null;
  }

  applyReports(reports: ModelReport[]): void {
    this.reports = reports;
    for (const record of [...this.found, ...this.open.values()]) this.apply(record);
    this.changed();
  }

  /** Never rejects. One that lists no versions changes nothing. */
  follow(placement: Placement | null): Promise<void> {
    if (placement?.versions === undefined) return Promise.resolve();
    this.placement = placement;
    this.found = [];
    this.releases.clear();
    for (const release of placement.releases ?? []) this.releases.set(release.name, release);
    const wanted = new Set(this.wanted().map(({ revision }) => revision));
    for (const revision of this.open.keys()) if (!wanted.has(revision)) this.open.delete(revision);
    const versions = new Set(placement.versions.map(versionKey));
    for (const key of this.tasks.keys()) if (!versions.has(key)) this.tasks.delete(key);
    this.changed();
    return this.readSoon();
  }

  revisions(): RevisionBinding[] | null {
    if (this.placement === null) return null;
    const planned = new Set(this.plans((lane) => lane === this.files.lane).map(({ revision }) => revision));
    return [...this.open].flatMap(([revision, record]) => {
      const own = bindingProblem(record);
      const problem = own === null ? this.lossOfText(record) : own;
      if (problem !== undefined) return [{ revision, problem }];
      // No worker of this lane will tell its inputs and outputs.
      return planned.has(revision) ? [] : [{ revision, problem: null }];
    });
  }

  /** Files on their way that take no text although those that serve do: a file of the tokenizer is missing yet, or does not fit. */
  private lossOfText({ name, revision, text, manifest, reason, isOfOtherLane }: ModelRecord): string | null {
    const versions = this.placement?.versions?.filter((placed) => placed.name === name) ?? [];
    if (isOfOtherLane || text !== null || isTensorModel(manifest) || !versions.some(({ next }) => next === revision)) return null;
    const takesText = versions.some(({ serving }) => serving !== null && (this.open.get(serving)?.text ?? null) !== null);
    if (!takesText) return null;
    return `its files take no text, as those do that serve: ${reason ?? manifest?.tensorsBecause ?? 'no tokenizer'}; write "task: tensor" in model.yaml if that is meant`;
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private recordOf(revision: number): ModelRecord | undefined {
    return this.open.get(revision) ?? this.found.find((other) => other.revision === revision);
  }

  /** Those that a request may mean, the newest first; at least one. Throws `model_not_found`. */
  private candidates(name: string, version: string | null): { model: string; candidates: Listed[] } {
    const { model, versions, wanted: named } = this.named(name, version);
    const wanted = named ?? this.stableOf(model, versions);
    const candidates = wanted === null ? inService(versions) : versions.filter((listed) => listed.version === wanted);
    if (candidates.length === 0) throw noVersion(model, wanted, versions);
    return { model, candidates };
  }

  /** What a request names; `wanted` null: neither a version nor a label. Throws `model_not_found`. */
  private named(name: string, version: string | null): { model: string; versions: Listed[]; wanted: string | null } {
    const { model, label } = this.byName.has(name) ? { model: name, label: null } : splitLabel(name);
    const versions = this.byName.get(model);
    if (versions === undefined) throw unknownModel(name);
    return { model, versions, wanted: label === null ? version : this.labelled(model, label, version) };
  }

  private stableOf(model: string, versions: Listed[]): string | null {
    const stable = this.releases.get(model)?.labels[STABLE] ?? null;
    return versions.some(({ version }) => version === stable) ? stable : null;
  }

  private labelled(model: string, label: string, version: string | null): string {
    if (version !== null)
      throw new InterleaveError(
        'invalid_request',
        `expected a label or a version but received ${quote(label)} and ${quote(version)}; leave one out`,
        {
          param: 'model',
        },
      );
    const labels = new Map(Object.entries(this.releases.get(model)?.labels ?? {}));
    const labelled = labels.get(label);
    if (labelled !== undefined) return labelled;
    const known = labels.size === 0 ? 'it has none' : `it has ${[...labels.keys()].join(', ')}`;
    throw modelNotFound(`model "${model}" has no label ${quote(label)}; ${known}`);
  }

  private apply(record: ModelRecord): void {
    applyReports(record, this.reports, this.opener, this.files.log);
  }

  /** What is to be read and kept: what answers, what is about to, and what workers of this lane have still. */
  private wanted(): { name: string; version: string; revision: number }[] {
    const placed = (this.placement?.versions ?? []).flatMap(({ name, version, serving, next }) =>
      [serving, next].flatMap((revision) => (revision === null ? [] : [{ name, version, revision }])),
    );
    const known = new Set(placed.map(({ revision }) => revision));
    return [...placed, ...this.plans((lane) => lane === this.files.lane).filter(({ revision }) => !known.has(revision))];
  }

  /** Of models that workers have, and of graphs. */
  private plans(isMeant: (lane: Lane) => boolean): { name: string; version: string; revision: number; fingerprint: string }[] {
    const { workers = [], graphs = [] } = this.placement ?? {};
    return [...workers.flatMap(({ lane, models }) => (isMeant(lane) ? models : [])), ...graphs.filter(({ lanes }) => lanes.some(isMeant))];
  }

  /** A step of the graph is not loaded, and is loaded for whoever asks: so is the graph. */
  private isAsleep(revision: number): boolean {
    const { graphs = [], versions = [] } = this.placement ?? {};
    const steps = graphs.find((graph) => graph.revision === revision)?.steps ?? [];
    return steps.some(({ model, version }) =>
      versions.some((placed) => placed.name === model && placed.version === version && placed.serving === null && placed.onDemand === true),
    );
  }

  private readSoon(): Promise<void> {
    this.isBehind = true;
    this.reading ??= this.catchUp();
    return this.reading;
  }

  private async catchUp(): Promise<void> {
    await nextTurn();
    while (this.isBehind) {
      this.isBehind = false;
      await this.readMissing();
    }
    this.reading = null;
  }

  /** One after the other, between other work, until there is nothing new. */
  private async readMissing(): Promise<void> {
    for (;;) {
      const missing = this.wanted().find((wanted) => !this.open.has(wanted.revision) || this.isBack(wanted));
      if (missing === undefined) break;
      const { revision } = missing;
      const record = await this.read(missing);
      if (!this.wanted().some((wanted) => wanted.revision === revision)) continue; // it has gone meanwhile
      this.open.set(revision, record);
      this.apply(record);
      this.changed();
    }
    this.opener.keepOnly(this.open.values());
    await this.readTasks();
  }

  private async read({ name, version, revision }: { name: string; version: string; revision: number }): Promise<ModelRecord> {
    const { modelsDir, lane } = this.files;
    await nextTurn();
    const fingerprint = this.fingerprintOf(revision);
    const entry = readVersion(modelsDir, name, version);
    if (entry === null || (fingerprint ?? entry.fingerprint) !== entry.fingerprint) return changedRecord({ name, version, revision, lane });
    return this.opener.open(entry, revision, true);
  }

  /** Undefined: no plan has it. */
  private fingerprintOf(revision: number): string | undefined {
    return this.plans(() => true).find((plan) => plan.revision === revision)?.fingerprint;
  }

  /** Its files had changed when they were read, and are those of the revision again. */
  private isBack({ name, version, revision }: { name: string; version: string; revision: number }): boolean {
    const record = this.open.get(revision);
    if (record === undefined || !hasChangedFiles(record)) return false;
    const now = attempt(() => fingerprintOfVersion(this.files.modelsDir, name, version));
    return now !== null && now === this.fingerprintOf(revision);
  }

  /** As long as files are others than those of their revision: who puts them back need not tell the scheduler. */
  private lookAgain(): void {
    if (this.lookTimer !== null || ![...this.open.values()].some(hasChangedFiles)) return;
    this.lookTimer = setTimeout(() => {
      this.lookTimer = null;
      if (this.wanted().some((wanted) => this.isBack(wanted))) void this.readSoon();
      else this.lookAgain();
    }, LOOK_AGAIN_MS).unref();
  }

  private async readTasks(): Promise<void> {
    for (const placed of this.placement?.versions ?? []) {
      const key = versionKey(placed);
      if (placed.state !== 'unloaded' || this.tasks.has(key)) continue;
      await nextTurn();
      this.tasks.set(key, readVersion(this.files.modelsDir, placed.name, placed.version)?.manifest?.task ?? 'tensor');
    }
    this.changed();
  }

  private changed(): void {
    this.refresh();
    this.lookAgain();
    for (const listener of this.listeners) listener();
  }

  private refresh(): void {
    const versions = this.placement?.versions ?? null;
    this.listed =
      versions === null
        ? this.found.map((record) => ({ ...record, record, changeRefusal: null, onDemand: false, isInService: true }))
        : [...versions].sort(byNameAndVersion).map((placed) => this.listedOf(placed));
    this.byName.clear();
    for (const listed of this.listed) this.byName.set(listed.name, [listed, ...(this.byName.get(listed.name) ?? [])]);
  }

  private listedOf(placed: PlacedVersion): Listed {
    const { name, version, serving, next, state, reason, onDemand = false } = placed;
    const record = this.answering(serving, next);
    if (record !== null && state !== 'unloaded') {
      this.tasks.set(versionKey(placed), record.task);
      if (record.manifest?.graph && record.revision !== null && this.isAsleep(record.revision))
        return { ...record, state: 'unloaded', record, changeRefusal: reason, onDemand: true, isInService: true };
      return { ...record, record, changeRefusal: reason, onDemand, isInService: serving !== null || onDemand };
    }
    return {
      name,
      version,
      task: this.tasks.get(versionKey(placed)) ?? 'tensor',
      state: state === 'serving' ? 'loading' : state,
      reason,
      signature: null,
      revision: null,
      changeRefusal: null,
      policy: NO_POLICY,
      record: null,
      onDemand,
      isInService: serving !== null || onDemand,
    };
  }

  /** The next revision answers where there is no other, also because this process came too late for the files of the other. */
  private answering(serving: number | null, next: number | null): ModelRecord | null {
    const current = serving === null ? undefined : this.open.get(serving);
    const coming = next === null ? undefined : this.open.get(next);
    const isLost = current?.manifest === null && coming?.state === 'ready';
    return (isLost ? coming : current) ?? (serving === null ? coming : undefined) ?? null;
  }
}

/** A version that is on its way answers whoever names it, and all others once it is in service, or where no version is. */
function inService(versions: Listed[]): Listed[] {
  const own = versions.filter(({ isInService }) => isInService);
  return own.length > 0 ? own : versions;
}

function noVersion(model: string, wanted: string | null, versions: Listed[]): InterleaveError {
  const existing = versions.map(({ version }) => version).join(', ');
  return modelNotFound(`model "${model}" has no version ${quote(wanted ?? '')}; it has ${existing}`);
}

/** Why none of these is ready. */
function unavailable(model: string, candidates: Listed[]): InterleaveError {
  const loading = candidates.find(({ state }) => state === 'loading');
  if (loading !== undefined) return new ModelNotReady(model, loading.version, 'loading', loading.onDemand);
  const unloaded = candidates.find(({ state }) => state === 'unloaded');
  if (unloaded !== undefined)
    return new ModelNotReady(model, candidates.length > 1 ? null : unloaded.version, 'unloaded', unloaded.onDemand);
  const { version, reason } = candidates[0] as Listed;
  return new InterleaveError('model_not_servable', `model "${model}" version ${version} cannot be served: ${reason ?? 'unknown reason'}`);
}

/** Its owner says so. */
const isTensorModel = (manifest: ModelManifest | null): boolean => manifest?.task === 'tensor' && manifest.taskIsExplicit;

const versionKey = ({ name, version }: { name: string; version: string }): string => `${name}\n${version}`;

function byNameAndVersion(a: PlacedVersion, b: PlacedVersion): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return Number(a.version) - Number(b.version);
}

/** Null: it threw. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
