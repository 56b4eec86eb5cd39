import { setTimeout as sleep } from 'node:timers/promises';
import { withDelta, type NodeAway, type NodeDelta, type NodeSnapshot } from '@app/contracts';
import { readEvents } from '../batch-events';
import type { ApiClient } from '../client';
import { CliError, ServerRefusal, Unreachable } from '../cli-error';
import type { Connection } from './panels/head';

const PATH = '/dashboard/events';
/** 1,024 CPUs, 256 models and their cost tables. */
const EVENT_CHARS_MAX = 32 * 1024 * 1024;
const RECONNECT_MS = 2_000;

export interface NodeState {
  /** Null: nothing came yet. */
  snapshot: NodeSnapshot | null;
  connection: Connection;
}

/**
 * How a node is, again and again, until `signal` is aborted. What goes away is waited for; rejects where the first answer is a refusal, or
 * none comes at all.
 */
export async function* nodeStates(client: ApiClient, signal: AbortSignal): AsyncGenerator<NodeState, void, void> {
  let state: NodeState = { snapshot: null, connection: { kind: 'live' } };
  let lastId = '';
  while (!signal.aborted) {
    try {
      for await (const { id, event, data } of readEvents(await client.openEvents(PATH, lastId, signal), EVENT_CHARS_MAX)) {
        if (id !== '') lastId = id;
        state = stateAfter(state, event, data);
        yield state;
      }
      state = lost(state, 'the server ended the stream');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CliError && (state.snapshot === null || !mayComeBack(error))) throw error;
      state = lost(state, (error as Error).message);
    }
    // Of a server that starts anew, no event of before is known.
    yield state;
    await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Events of kinds that a later release may add change nothing. */
function stateAfter(state: NodeState, event: string, data: string): NodeState {
  if (event === 'snapshot') return { snapshot: JSON.parse(data) as NodeSnapshot, connection: { kind: 'live' } };
  if (event === 'away') return { ...state, connection: { kind: 'away', ...(JSON.parse(data) as NodeAway) } };
  if (event !== 'delta' || state.snapshot === null) return state;
  return { snapshot: withDelta(state.snapshot, JSON.parse(data) as NodeDelta), connection: { kind: 'live' } };
}

function lost({ snapshot, connection }: NodeState, reason: string): NodeState {
  const sinceMs = connection.kind === 'lost' ? connection.sinceMs : Date.now();
  return { snapshot, connection: { kind: 'lost', sinceMs, reason } };
}

const mayComeBack = (error: CliError): boolean => error instanceof Unreachable || (error instanceof ServerRefusal && error.status === 503);
