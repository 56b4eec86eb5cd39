import { statSync } from 'node:fs';
import type { Lane, ModelReport, ModelSignature, Task } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import type { ModelManifest } from './manifest';
import { fingerprintOfVersion, type RepositoryEntry } from './repository';
import { NO_POLICY, readPolicy } from './serving-policy';
import { bindTextModel } from './text-model';
import { TextTokenizer } from './tokenizer';
import type { CatalogEntry, ServedModel, ServingPolicy, TextModel } from './types';

const AS_TENSORS = 'served as tensors: ';
const FILES_CHANGED = 'its files have changed';

/** State of one set of files: `loading` → `ready` ⇄ `failed`, as workers report; `failed` for good when the files are bad. */
export interface ModelRecord extends Omit<CatalogEntry, 'changeRefusal'> {
  /** The revision whose files were read; null: whichever workers have. */
  readonly filesOf: number | null;
  readonly fingerprint: string;
  /** Null: the files cannot be served here, for `reason`. */
  manifest: ModelManifest | null;
  tokenizer: TextTokenizer | null;
  policy: ServingPolicy;
  text: TextModel | null;
  /** As `ServedModel.remoteFiles`, when it was last ready. */
  remoteFiles: string | null;
  /** What came of binding the task to the inputs and outputs `key`. */
  bound: { key: string; outcome: BindOutcome } | null;
  /** Its `model.yaml` keeps it to the other lane. */
  readonly isOfOtherLane: boolean;
}

type BindOutcome = Pick<ModelRecord, 'state' | 'reason' | 'task' | 'text'>;

export interface Files {
  modelsDir: string;
  lane: Lane;
  log: Logger;
}

/** Opens records. Versions with one tokenizer file share it. */
export class RecordOpener {
  private readonly tokenizers = new Map<string, { loading: Promise<TextTokenizer>; loaded: TextTokenizer | null }>();

  constructor(private readonly files: Files) {}

  /** Never rejects. `comparesTokenizers`: whether tokenizers of several models may have to be compared. */
  async open(entry: RepositoryEntry, filesOf: number | null, comparesTokenizers: boolean): Promise<ModelRecord> {
    const record = newRecord(entry, filesOf, this.files.lane);
    const { manifest } = record;
    try {
      if (manifest !== null) record.policy = await readPolicy(manifest, { comparesTokenizers });
      if (manifest !== null) await this.loadTokenizer(record, manifest);
    } catch (error) {
      failForGood(record, (error as Error).message);
    }
    if (filesOf !== null) this.checkFiles(record);
    this.tell(record);
    return record;
  }

  /** `failed` for good where the files are not the ones that were read. */
  checkFiles(record: ModelRecord): void {
    const { name, version, fingerprint } = record;
    try {
      if (fingerprintOfVersion(this.files.modelsDir, name, version) !== fingerprint) failForGood(record, FILES_CHANGED);
    } catch (error) {
      failForGood(record, (error as Error).message);
    }
  }

  /** Forgets the tokenizers that none of these has. */
  keepOnly(records: Iterable<ModelRecord>): void {
    const used = new Set([...records].map(({ tokenizer }) => tokenizer));
    for (const [key, { loaded }] of this.tokenizers) if (loaded !== null && !used.has(loaded)) this.tokenizers.delete(key);
  }

  private async loadTokenizer(record: ModelRecord, { text }: ModelManifest): Promise<void> {
    if (text === null) return;
    const { tokenizerPath, lowerCase, specialTokens } = text;
    const key = JSON.stringify([tokenizerPath, lowerCase, specialTokens, fileKey(tokenizerPath)]);
    const shared = this.tokenizers.get(key) ?? { loading: TextTokenizer.load(tokenizerPath, { lowerCase, specialTokens }), loaded: null };
    this.tokenizers.set(key, shared);
    try {
      record.tokenizer = shared.loaded = await shared.loading;
    } catch (error) {
      this.tokenizers.delete(key);
      throw error;
    }
  }

  private tell({ name, version, filesOf: revision, reason, tokenizer, manifest }: ModelRecord): void {
    const { log } = this.files;
    const model = { model: name, version, ...(revision !== null && { revision }) };
    for (const warning of manifest?.warnings ?? []) log.warn(model, warning);
    if (reason !== null) log.error({ ...model, reason }, 'model cannot be served');
    else log.debug({ ...model, tokenizesShortTextsAtOnce: tokenizer?.hasFastPath ?? null }, 'model found');
  }
}

function newRecord(entry: RepositoryEntry, filesOf: number | null, lane: Lane): ModelRecord {
  const { name, version, fingerprint } = entry;
  const lanes = entry.manifest?.lanes ?? null;
  const isOfOtherLane = lanes !== null && !lanes.includes(lane);
  const manifest = isOfOtherLane ? null : entry.manifest;
  return {
    name,
    version,
    revision: filesOf,
    filesOf,
    fingerprint,
    task: manifest?.task ?? 'tensor',
    state: manifest === null ? 'failed' : 'loading',
    reason: isOfOtherLane ? `its model.yaml limits it to the ${lanes.join(' and ')} lane; this is the ${lane} lane` : entry.reason,
    signature: null,
    manifest,
    tokenizer: null,
    policy: NO_POLICY,
    text: null,
    remoteFiles: null,
    bound: null,
    isOfOtherLane,
  };
}

/** Of one whose files are not those that its revision was given for. */
export function changedRecord(of: { name: string; version: string; revision: number; lane: Lane }): ModelRecord {
  const { name, version, revision, lane } = of;
  return newRecord({ name, version, manifest: null, reason: FILES_CHANGED, fingerprint: '' }, revision, lane);
}

/** Its files are not those of its revision; they may be put back. */
export const hasChangedFiles = ({ manifest, reason }: ModelRecord): boolean => manifest === null && reason === FILES_CHANGED;

function failForGood(record: ModelRecord, reason: string): void {
  Object.assign(record, { state: 'failed', reason, manifest: null, tokenizer: null, text: null });
}

/** Tells one content of a file from another one at the same path. */
function fileKey(path: string): string {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? '' : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join('-');
}

/** Takes over what workers say of it. Ready when any worker is ready, or else loading when any is; only then failed. */
export function applyReports(record: ModelRecord, all: ModelReport[], opener: RecordOpener, log: Logger): void {
  const { manifest, filesOf } = record;
  if (manifest === null) return;
  const reports = all.filter(
    ({ name, version, revision }) => name === record.name && version === record.version && (filesOf ?? revision) === revision,
  );
  const ready = newest(reports.filter(({ state, signature }) => state === 'ready' && signature !== null));
  if (ready?.signature) {
    const { signature, revision, remoteFiles = null } = ready;
    Object.assign(record, { signature, revision, remoteFiles });
    bind(record, { manifest, signature: ready.signature }, opener, log);
    return;
  }
  const loading = reports.find(({ state }) => state === 'loading');
  if (loading !== undefined) {
    Object.assign(record, { state: 'loading', reason: loading.reason });
  } else if (reports.length > 0) {
    Object.assign(record, { state: 'failed', reason: reports.find(({ reason }) => reason !== null)?.reason ?? 'no worker could load it' });
  } else if (filesOf !== null) {
    Object.assign(record, { state: 'loading', reason: null }); // no worker of this lane has it yet
  }
}

const newest = (reports: ModelReport[]): ModelReport | undefined =>
  reports.reduce<ModelReport | undefined>(
    (best, report) => (best === undefined || report.revision > best.revision ? report : best),
    undefined,
  );

/** Reads files, so it is done once for the inputs and outputs. */
function bind(
  record: ModelRecord,
  { manifest, signature }: { manifest: ModelManifest; signature: ModelSignature },
  opener: RecordOpener,
  log: Logger,
): void {
  const key = JSON.stringify([signature.inputs, signature.outputs]);
  const isNew = record.bound?.key !== key;
  if (record.bound === null || isNew) record.bound = { key, outcome: outcomeOf(record, manifest, signature, log) };
  Object.assign(record, record.bound.outcome);
  if (isNew && record.filesOf !== null) opener.checkFiles(record);
}

function outcomeOf(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature, log: Logger): BindOutcome {
  try {
    const reason = manifest.tensorsAreFallback ? `${AS_TENSORS}${manifest.tensorsBecause}` : null;
    return { state: 'ready', reason, ...bindTask(record, manifest, signature) };
  } catch (error) {
    const reason = (error as Error).message;
    const outcome: BindOutcome = manifest.taskIsExplicit
      ? { state: 'failed', reason, task: manifest.task, text: null }
      : { state: 'ready', reason: `${AS_TENSORS}${reason}`, task: 'tensor', text: null };
    log.warn({ model: record.name, version: record.version, reason, servedAs: outcome.task }, 'the task does not fit the graph');
    return outcome;
  }
}

function bindTask(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature): { task: Task; text: TextModel | null } {
  const { tokenizer } = record;
  if (tokenizer === null || manifest.text === null) return { task: 'tensor', text: null };
  return { task: manifest.task, text: bindTextModel(manifest.task, manifest.text, tokenizer, signature) };
}

/** Why this process cannot answer with it; null: it can, or workers have the word. Undefined: it was not bound yet. */
export function bindingProblem({ manifest, isOfOtherLane, reason, state, bound }: ModelRecord): string | null | undefined {
  if (isOfOtherLane) return null;
  if (manifest === null) return reason ?? 'its files cannot be served';
  // No worker speaks for a graph.
  if (bound === null && manifest.graph !== null && state === 'failed') return reason;
  if (bound === null) return undefined;
  return bound.outcome.state === 'failed' ? bound.outcome.reason : null;
}

/** Null: it is not ready. */
export function servedModel(record: ModelRecord): ServedModel | null {
  const { name, version, revision, state, task, text, reason, manifest, signature, remoteFiles } = record;
  if (state !== 'ready' || signature === null || revision === null) return null;
  const tensorsBecause = text !== null ? null : (reason?.slice(AS_TENSORS.length) ?? manifest?.tensorsBecause ?? null);
  return {
    name,
    version,
    revision,
    task,
    signature,
    text,
    tensorsBecause,
    labels: manifest?.labels ?? null,
    timeoutMs: manifest?.timeoutMs ?? null,
    deduplicate: manifest?.deduplicate ?? true,
    isGraph: (manifest?.graph ?? null) !== null,
    remoteFiles,
  };
}
