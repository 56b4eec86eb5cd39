import type { ItemResult } from '@app/contracts';
import type { CacheBounds, ModelCatalog } from '@app/models';
import type { PreparedItems } from '@app/protocols';
import { Inject, Injectable } from '@nestjs/common';
import { Counter, Gauge, Registry } from 'prom-client';
import { CATALOG } from '../tokens';
import { itemKey } from './item-key';
import { ResponseCache } from './response-cache';

/** Of one request: items that were answered from the cache, and that were looked for in vain. */
export interface CacheUse {
  hits: number;
  misses: number;
}

export interface CachedAnswer {
  results: ItemResult[];
  /** Null: the model has no cache. */
  cache: CacheUse | null;
}

/** Keys are hashed on the event loop, about a millisecond for so much. */
const REQUEST_BYTES_MAX = 2 * 1024 * 1024;

/** Puts the cache before the runs of the models that have one. */
@Injectable()
export class CachedRuns {
  private readonly hits: Counter;
  private readonly misses: Counter;

  constructor(
    registry: Registry,
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    private readonly cache: ResponseCache,
  ) {
    const registers = [registry];
    const labelNames = ['model'];
    this.hits = new Counter({
      name: 'interleave_response_cache_hits_total',
      help: 'Live items answered from the cache',
      labelNames,
      registers,
    });
    this.misses = new Counter({
      name: 'interleave_response_cache_misses_total',
      help: 'Live items not found in the cache',
      labelNames,
      registers,
    });
    new Gauge({
      name: 'interleave_response_cache_bytes',
      help: 'Bytes of kept answers',
      registers,
      collect() {
        this.set(cache.bytes);
      },
    });
    catalog.onChange(() => cache.keepOnly((part) => this.isThere(part)));
  }

  /** `run` gets the items that are not kept; what it answers is kept. Rejects as `run` does. */
  async run(prepared: PreparedItems, tenant: string, run: (missing: PreparedItems) => Promise<ItemResult[]>): Promise<CachedAnswer> {
    const bounds = this.boundsOf(prepared);
    if (bounds === null) return { results: await run(prepared), cache: null };
    const part = partOf(prepared);
    const keys = this.keysOf(prepared, tenant);
    const found = keys.map((key) => this.cache.get(part, key, { ttlSeconds: bounds.ttlSeconds, evenStale: false })?.result ?? null);
    const misses = found.filter((result) => result === null).length;
    const cache = { hits: keys.length - misses, misses };
    this.hits.inc({ model: prepared.model }, cache.hits);
    this.misses.inc({ model: prepared.model }, misses);
    if (misses === 0) return { results: found as ItemResult[], cache };
    const fresh = await run(cache.hits === 0 ? prepared : { ...prepared, items: prepared.items.filter((_, i) => found[i] === null) });
    const isThere = this.isThere(part);
    let next = 0;
    const results = found.map((kept, i) => {
      if (kept !== null) return kept;
      const result = fresh[next++] as ItemResult;
      if (isThere) this.cache.set(part, keys[i] as string, result, bounds);
      return result;
    });
    return { results, cache };
  }

  /** The answer as it was once, however old; null where an item is not kept. */
  stale(prepared: PreparedItems, tenant: string): { results: ItemResult[]; ageMs: number } | null {
    const bounds = this.boundsOf(prepared);
    if (bounds === null) return null;
    const part = partOf(prepared);
    const options = { ttlSeconds: bounds.ttlSeconds, evenStale: true };
    const found = this.keysOf(prepared, tenant).flatMap((key) => this.cache.get(part, key, options) ?? []);
    if (found.length < prepared.items.length) return null;
    return { results: found.map(({ result }) => result), ageMs: Math.max(0, ...found.map(({ ageMs }) => ageMs)) };
  }

  private isThere(part: string): boolean {
    const found = this.catalog.ofRevision(Number.parseInt(part, 10));
    return found !== null && partOf(found.model) === part;
  }

  /** Null: no cache for it. */
  private boundsOf({ revision, items }: PreparedItems): CacheBounds | null {
    const bytes = items.reduce((sum, { inputs }) => inputs.reduce((all, { data }) => all + data.byteLength, sum), 0);
    if (bytes > REQUEST_BYTES_MAX) return null;
    return this.catalog.ofRevision(revision)?.policy.cache ?? null;
  }

  private keysOf({ model, version, revision, items, runAlone = false }: PreparedItems, tenant: string): string[] {
    const outputs = this.catalog.ofRevision(revision)?.model.signature.outputs.map(({ name }) => name) ?? [];
    return items.map((item) => itemKey({ tenant, model, version, revision, runAlone }, item, outputs));
  }
}

/** Begins with the revision. */
const partOf = ({ revision, remoteFiles }: Pick<PreparedItems, 'revision' | 'remoteFiles'>): string => `${revision} ${remoteFiles ?? ''}`;
