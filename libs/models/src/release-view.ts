import { createHash } from 'node:crypto';
import type { CanaryRule } from '@app/contracts';
import { ModelNotReady } from './catalog-errors';
import { splitLabel } from './label';
import type { ModelCatalog, ModelView, ServedModel } from './types';

const HASH_BYTES = 6;

/**
 * The catalog as one request sees it. One that names neither version nor label may get the canary; `callerOf` says whose it is:
 * those with one name always go the same way. `user`: as `ModelView.find`.
 */
export function releaseView(catalog: ModelCatalog, callerOf: (user: string | null) => string): ModelView {
  return {
    list: () => catalog.list(),
    entriesOf: (name, version) => catalog.entriesOf(name, version),
    find(name, version, user = null) {
      const canary = version === null && splitLabel(name).label === null ? (catalog.releaseOf(name)?.canary ?? null) : null;
      if (canary === null || !getsCanary(name, callerOf(user), canary)) return catalog.find(name, version);
      return findReady(catalog, name, canary) ?? catalog.find(name, null);
    },
    policyOf: (name, version) => catalog.policyOf(name, version),
    ofRevision: (revision) => catalog.ofRevision(revision),
  };
}

/** By a hash of model and caller, so that callers of one model are not those of all. */
export function getsCanary(model: string, caller: string, { trafficPercent }: CanaryRule): boolean {
  const hash = createHash('sha256').update(`${model}\n${caller}`).digest();
  return (hash.readUIntBE(0, HASH_BYTES) / 2 ** (8 * HASH_BYTES)) * 100 < trafficPercent;
}

/** Null: it is not there now, and the others answer. */
function findReady(catalog: ModelCatalog, name: string, { version }: CanaryRule): ServedModel | null {
  try {
    return catalog.find(name, version);
  } catch (error) {
    if (error instanceof ModelNotReady) return null;
    throw error;
  }
}
