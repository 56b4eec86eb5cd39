import { InterleaveError, type Lane, type ModelReport, type ModelSignature, type Task } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import type { ModelManifest } from './manifest';
import { scanRepository, type RepositoryEntry } from './repository';
import { bindTextModel } from './text-model';
import { TextTokenizer } from './tokenizer';
import { readPolicy, NO_POLICY } from './serving-policy';
import type { CatalogEntry, ModelCatalog, ServedModel, ServingPolicy, TextModel } from './types';

const RETRY_AFTER_SECONDS = 1;
const AS_TENSORS = 'served as tensors: ';

/**
 * Scans the repository, loads every tokenizer and returns the catalog of a process that answers in one lane. Models start
 * as `loading` (or `failed`, when their files cannot be served or name other lanes only) until `applyReports` says otherwise.
 */
export async function openModelCatalog(modelsDir: string, lane: Lane, log: Logger): Promise<ModelCatalog> {
  const records: ModelRecord[] = [];
  const tokenizers = new Map<string, Promise<TextTokenizer>>();
  const entries = scanRepository(modelsDir).map((entry) => inLane(entry, lane));
  const comparesTokenizers = entries.some(({ manifest }) => (manifest?.degrade.length ?? 0) > 0);
  for (const entry of entries) {
    const policy = entry.manifest === null ? NO_POLICY : await readPolicy(entry.manifest, { comparesTokenizers });
    records.push(await openRecord(entry, policy, tokenizers));
  }
  for (const { name, version, reason, tokenizer, manifest } of records) {
    for (const warning of manifest?.warnings ?? []) log.warn({ model: name, version }, warning);
    if (reason !== null) log.error({ model: name, version, reason }, 'model cannot be served');
    else log.debug({ model: name, version, tokenizesShortTextsAtOnce: tokenizer?.hasFastPath ?? null }, 'model found');
  }
  return new Catalog(records, log);
}

/** State of one model version: `loading` → `ready` ⇄ `failed`, as workers report; `failed` for good when the files are bad. */
interface ModelRecord extends CatalogEntry {
  manifest: ModelManifest | null;
  tokenizer: TextTokenizer | null;
  policy: ServingPolicy;
  text: TextModel | null;
  /** What came of binding the task to the signature `key`. */
  bound: { key: string; outcome: BindOutcome } | null;
}

type BindOutcome = Pick<ModelRecord, 'state' | 'reason' | 'task' | 'text'>;

function inLane(entry: RepositoryEntry, lane: Lane): RepositoryEntry {
  const lanes = entry.manifest?.lanes ?? null;
  if (lanes === null || lanes.includes(lane)) return entry;
  return { ...entry, manifest: null, reason: `its model.yaml limits it to the ${lanes.join(' and ')} lane; this is the ${lane} lane` };
}

/** Versions of a model that have one tokenizer file share it. */
async function openRecord(
  entry: RepositoryEntry,
  policy: ServingPolicy,
  tokenizers: Map<string, Promise<TextTokenizer>>,
): Promise<ModelRecord> {
  const { name, version, manifest, reason } = entry;
  const record: ModelRecord = {
    name,
    version,
    task: manifest?.task ?? 'tensor',
    state: manifest === null ? 'failed' : 'loading',
    reason,
    signature: null,
    manifest,
    tokenizer: null,
    policy,
    text: null,
    bound: null,
  };
  if (manifest === null || manifest.text === null) return record;
  const { tokenizerPath, lowerCase } = manifest.text;
  const key = JSON.stringify([tokenizerPath, lowerCase]);
  const loading = tokenizers.get(key) ?? TextTokenizer.load(tokenizerPath, { lowerCase });
  tokenizers.set(key, loading);
  try {
    record.tokenizer = await loading;
    return record;
  } catch (error) {
    return { ...record, state: 'failed', reason: (error as Error).message, manifest: null };
  }
}

class Catalog implements ModelCatalog {
  /** By name, newest version first. */
  private readonly byName = new Map<string, ModelRecord[]>();

  constructor(
    private readonly records: ModelRecord[],
    private readonly log: Logger,
  ) {
    for (const record of records) this.byName.set(record.name, [record, ...(this.byName.get(record.name) ?? [])]);
  }

  list(): CatalogEntry[] {
    return this.records.map(({ name, version, task, state, reason, signature }) => ({ name, version, task, state, reason, signature }));
  }

  find(name: string, version: string | null): ServedModel {
    const versions = this.byName.get(name);
    if (versions === undefined) throw unknownModel(name);
    const candidates = version === null ? versions : versions.filter((record) => record.version === version);
    const newest = candidates[0];
    if (newest === undefined) {
      const existing = versions.map((record) => record.version).join(', ');
      throw notFound(`model "${name}" has no version ${quote(version ?? '')}; it has ${existing}`);
    }
    const ready = candidates.find((record) => record.state === 'ready');
    if (ready?.signature) return served(ready, ready.signature);
    throw unavailable(candidates.find((record) => record.state === 'loading') ?? newest);
  }

  policyOf(name: string, version: string | null): ServingPolicy | null {
    const candidates = (this.byName.get(name) ?? []).filter((record) => version === null || record.version === version);
    return (candidates.find(({ state }) => state === 'ready') ?? candidates[0])?.policy ?? null;
  }

  applyReports(reports: ModelReport[]): void {
    for (const record of this.records) {
      if (record.manifest === null) continue;
      const own = reports.filter((report) => report.name === record.name && report.version === record.version);
      if (own.length > 0) this.apply(record, record.manifest, own);
    }
  }

  /** Ready when any worker is ready, or else loading when any is; only then failed. */
  private apply(record: ModelRecord, manifest: ModelManifest, reports: ModelReport[]): void {
    const ready = reports.find((report) => report.state === 'ready' && report.signature !== null);
    if (ready?.signature) {
      this.becomeReady(record, manifest, ready.signature);
      return;
    }
    const loading = reports.find((report) => report.state === 'loading');
    if (loading !== undefined) {
      Object.assign(record, { state: 'loading', reason: loading.reason });
    } else {
      Object.assign(record, {
        state: 'failed',
        reason: reports.find((report) => report.reason !== null)?.reason ?? 'no worker could load it',
      });
    }
  }

  /** Binding reads files, so it is done once for a signature. */
  private becomeReady(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature): void {
    const key = JSON.stringify(signature);
    if (record.bound?.key !== key) record.bound = { key, outcome: this.bind(record, manifest, signature) };
    Object.assign(record, record.bound.outcome, { signature });
  }

  private bind(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature): BindOutcome {
    try {
      const reason = manifest.tensorsAreFallback ? `${AS_TENSORS}${manifest.tensorsBecause}` : null;
      return { state: 'ready', reason, ...bindTask(record, manifest, signature) };
    } catch (error) {
      const reason = (error as Error).message;
      const outcome: BindOutcome = manifest.taskIsExplicit
        ? { state: 'failed', reason, task: manifest.task, text: null }
        : { state: 'ready', reason: `${AS_TENSORS}${reason}`, task: 'tensor', text: null };
      this.log.warn({ model: record.name, version: record.version, reason, servedAs: outcome.task }, 'the task does not fit the graph');
      return outcome;
    }
  }
}

function bindTask(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature): { task: Task; text: TextModel | null } {
  const { tokenizer } = record;
  if (tokenizer === null || manifest.text === null) return { task: 'tensor', text: null };
  return { task: manifest.task, text: bindTextModel(manifest.task, manifest.text, tokenizer, signature) };
}

function served({ name, version, task, text, reason, manifest }: ModelRecord, signature: ModelSignature): ServedModel {
  const tensorsBecause = text !== null ? null : (reason?.slice(AS_TENSORS.length) ?? manifest?.tensorsBecause ?? null);
  return {
    name,
    version,
    task,
    signature,
    text,
    tensorsBecause,
    labels: manifest?.labels ?? null,
    timeoutMs: manifest?.timeoutMs ?? null,
    deduplicate: manifest?.deduplicate ?? true,
  };
}

function unavailable({ name, version, state, reason }: ModelRecord): InterleaveError {
  const what = `model "${name}" version ${version}`;
  if (state !== 'loading') return new InterleaveError('model_not_servable', `${what} cannot be served: ${reason ?? 'unknown reason'}`);
  return new InterleaveError('worker_unavailable', `${what} is loading; try again`, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

/** What is said of every model that is not there for the caller. */
export function unknownModel(name: string): InterleaveError {
  return notFound(`there is no model ${quote(name)}; GET /v1/models lists those that exist`);
}

function notFound(message: string): InterleaveError {
  return new InterleaveError('model_not_found', message, { param: 'model' });
}

/** Names come from the caller: shortened and escaped before they appear in a message. */
function quote(name: string): string {
  return JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);
}
