import type { CatalogEntry, ModelView } from '@app/models';

/** One version in Triton's repository index. */
export interface IndexEntry {
  name: string;
  version: string;
  state: 'READY' | 'LOADING' | 'UNAVAILABLE';
  /** Why it is not ready, or why the last change of its files was not taken over; empty otherwise. */
  reason: string;
  /** Which of its sets of files answers, as this node counts them; absent: none. */
  revision?: number;
}

const STATES = { ready: 'READY', loading: 'LOADING', failed: 'UNAVAILABLE', unloaded: 'UNAVAILABLE' } as const satisfies Record<
  CatalogEntry['state'],
  IndexEntry['state']
>;

/** Every version of every model of the repository, as the live lane has it. `isReadyOnly`: those that answer. */
export function repositoryIndex(catalog: ModelView, isReadyOnly: boolean): IndexEntry[] {
  return catalog
    .list()
    .filter(({ state }) => !isReadyOnly || state === 'ready')
    .map((entry) => ({
      name: entry.name,
      version: entry.version,
      state: STATES[entry.state],
      reason: reasonOf(entry),
      ...(entry.state === 'ready' && entry.revision !== null && { revision: entry.revision }),
    }));
}

function reasonOf({ state, reason, changeRefusal }: CatalogEntry): string {
  if (state === 'ready') return changeRefusal ?? '';
  return reason ?? (state === 'unloaded' ? 'it is not loaded' : '');
}
