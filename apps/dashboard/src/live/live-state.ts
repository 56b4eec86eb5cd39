import { withDelta, type NodeAway, type NodeDelta, type NodeSnapshot } from '@app/contracts';

/** How the page gets its news. `away`: the API answers, the scheduler does not. `broken`: nobody answers. */
export type Link = 'connecting' | 'open' | 'away' | 'broken';

export interface LiveState {
  link: Link;
  /** Null: nothing came yet. What came stays while the link is away or broken. */
  snapshot: NodeSnapshot | null;
  /** When the newest part of it came, by this machine's clock. */
  receivedAtMs: number;
  /** Why the link is not open; null: it is, or it is not known. */
  problem: string | null;
}

export const CONNECTING: LiveState = { link: 'connecting', snapshot: null, receivedAtMs: 0, problem: null };

export type LiveMessage =
  | { type: 'snapshot'; data: NodeSnapshot }
  | { type: 'delta'; data: NodeDelta }
  | { type: 'away'; data: NodeAway }
  | { type: 'connected' }
  | { type: 'lost'; problem: string };

/** What is not told of for so long is old, in ms; news comes twice a second. */
export const STALE_MS = 10_000;

export function after(state: LiveState, message: LiveMessage, nowMs: number): LiveState {
  switch (message.type) {
    case 'snapshot':
      return { link: 'open', snapshot: message.data, receivedAtMs: nowMs, problem: null };
    case 'delta':
      // Without what it changes it says nothing: the stream sends a snapshot first.
      if (state.snapshot === null) return state;
      return { link: 'open', snapshot: withDelta(state.snapshot, message.data), receivedAtMs: nowMs, problem: null };
    case 'away':
      return { ...state, link: 'away', problem: message.data.reason };
    case 'connected':
      return { ...state, link: state.snapshot === null ? 'connecting' : 'open', problem: null };
    case 'lost':
      return { ...state, link: 'broken', problem: message.problem };
  }
}

/** How old what is shown is, in ms; null: it is fresh, or there is nothing. */
export function staleMs(state: LiveState, nowMs: number): number | null {
  if (state.snapshot === null) return null;
  const age = nowMs - state.receivedAtMs;
  return age > STALE_MS ? age : null;
}
