import { InterleaveError, type Lane, type ModelReport, type ModelSignature, type Task } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import type { ModelManifest } from './manifest';
import { scanRepository, type RepositoryEntry } from './repository';
import { bindTextModel } from './text-model';
import { TextTokenizer } from './tokenizer';
import type { CatalogEntry, ModelCatalog, ServedModel, TextModel } from './types';

const RETRY_AFTER_SECONDS = 1;

/**
 * Scans the repository, loads every tokenizer and returns the catalog of a process that answers in one lane. Models start
 * as `loading` (or `failed`, when their files cannot be served or name other lanes only) until `applyReports` says otherwise.
 */
export async function openModelCatalog(modelsDir: string, lane: Lane, log: Logger): Promise<ModelCatalog> {
  const records: ModelRecord[] = [];
  const tokenizers = new Map<string, Promise<TextTokenizer>>();
  for (const entry of scanRepository(modelsDir)) records.push(await openRecord(inLane(entry, lane), tokenizers));
  for (const { name, version, reason, tokenizer } of records) {
    if (reason !== null) log.error({ model: name, version, reason }, 'model cannot be served');
    else log.debug({ model: name, version, tokenizesShortTextsAtOnce: tokenizer?.hasFastPath ?? null }, 'model found');
  }
  return new Catalog(records, log);
}

/** State of one model version: `loading` → `ready` ⇄ `failed`, as workers report; `failed` for good when the files are bad. */
interface ModelRecord extends CatalogEntry {
  manifest: ModelManifest | null;
  tokenizer: TextTokenizer | null;
  text: TextModel | null;
}

function inLane(entry: RepositoryEntry, lane: Lane): RepositoryEntry {
  const lanes = entry.manifest?.lanes ?? null;
  if (lanes === null || lanes.includes(lane)) return entry;
  return { ...entry, manifest: null, reason: `its model.yaml keeps it to the ${lanes.join(' and ')} lane, and this is the ${lane} lane` };
}

/** Versions of a model that have one tokenizer file share it. */
async function openRecord(entry: RepositoryEntry, tokenizers: Map<string, Promise<TextTokenizer>>): Promise<ModelRecord> {
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
    text: null,
  };
  if (manifest === null || manifest.text === null) return record;
  const { tokenizerPath } = manifest.text;
  const loading = tokenizers.get(tokenizerPath) ?? TextTokenizer.load(tokenizerPath);
  tokenizers.set(tokenizerPath, loading);
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
    if (versions === undefined) throw notFound(`there is no model ${quote(name)}; GET /v1/models lists those that exist`);
    const candidates = version === null ? versions : versions.filter((record) => record.version === version);
    const newest = candidates[0];
    if (newest === undefined) {
      const existing = versions.map((record) => record.version).join(', ');
      throw notFound(`model "${name}" has no version ${quote(version ?? '')}; it has ${existing}`);
    }
    const ready = candidates.find((record) => record.state === 'ready');
    if (ready?.signature) return { name, version: ready.version, task: ready.task, signature: ready.signature, text: ready.text, timeoutMs: ready.manifest?.timeoutMs ?? null };
    throw unavailable(candidates.find((record) => record.state === 'loading') ?? newest);
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
    } else if (reports.some((report) => report.state === 'loading')) {
      Object.assign(record, { state: 'loading', reason: null });
    } else {
      Object.assign(record, { state: 'failed', reason: reports.find((report) => report.reason !== null)?.reason ?? 'no worker could load it' });
    }
  }

  private becomeReady(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature): void {
    if (record.state === 'ready' && JSON.stringify(record.signature) === JSON.stringify(signature)) return;
    try {
      Object.assign(record, { state: 'ready', reason: null, signature, ...bindTask(record, manifest, signature) });
    } catch (error) {
      const reason = (error as Error).message;
      const asTensors = { state: 'ready', reason: null, signature, task: 'tensor', text: null } as const;
      Object.assign(record, manifest.taskIsExplicit ? { state: 'failed', reason, signature } : asTensors);
      this.log.warn({ model: record.name, version: record.version, reason, servedAs: record.task }, 'the task does not fit the graph');
    }
  }
}

function bindTask(record: ModelRecord, manifest: ModelManifest, signature: ModelSignature): { task: Task; text: TextModel | null } {
  const { tokenizer } = record;
  if (tokenizer === null || manifest.text === null) return { task: 'tensor', text: null };
  return { task: manifest.task, text: bindTextModel(manifest.task, manifest.text, tokenizer, signature) };
}

function unavailable({ name, version, state, reason }: ModelRecord): InterleaveError {
  const what = `model "${name}" version ${version}`;
  if (state !== 'loading') return new InterleaveError('model_not_servable', `${what} cannot be served: ${reason ?? 'unknown reason'}`);
  return new InterleaveError('worker_unavailable', `${what} is loading; try again`, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

function notFound(message: string): InterleaveError {
  return new InterleaveError('model_not_found', message, { param: 'model' });
}

/** Names come from the caller: shortened and escaped before they appear in a message. */
function quote(name: string): string {
  return JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);
}
