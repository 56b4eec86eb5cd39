import type { ModelState } from '@app/contracts';
import type { ModelCatalog } from '@app/models';

/** One version in Triton's repository index. */
export interface IndexEntry {
  name: string;
  version: string;
  state: 'READY' | 'LOADING' | 'UNAVAILABLE';
  /** Why it is not ready; empty otherwise. */
  reason: string;
}

const STATES = { ready: 'READY', loading: 'LOADING', failed: 'UNAVAILABLE' } as const satisfies Record<ModelState, IndexEntry['state']>;

/** Every version of every model of the repository, as the live lane has it. `isReadyOnly`: those that answer. */
export function repositoryIndex(catalog: ModelCatalog, isReadyOnly: boolean): IndexEntry[] {
  return catalog
    .list()
    .filter(({ state }) => !isReadyOnly || state === 'ready')
    .map(({ name, version, state, reason }) => ({
      name,
      version,
      state: STATES[state],
      reason: state === 'ready' ? '' : (reason ?? ''),
    }));
}
