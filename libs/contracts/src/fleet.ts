import type { ModelState } from './models';

/** `starting`: not ready for live requests yet, or no longer. `draining`: it ends. */
export const NODE_STATES = ['starting', 'ready', 'draining'] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** In place of the revision of a model that runs on other nodes of the fleet: revisions of this node begin at 1. */
export const ELSEWHERE = 0;

/** What a node says of itself to the others, once every few seconds. */
export interface NodeHeartbeat {
  id: string;
  /** Tells two nodes with one id apart; equal for all processes of a node until its machine starts anew. */
  bootId: string;
  /** As configured: a name or an address. */
  address: string;
  /** What `address` stands for; null: it could not be looked up. */
  ip: string | null;
  httpPort: number;
  grpcPort: number;
  tls: boolean;
  version: string;
  /** `FORMAT_VERSIONS` of its release. */
  formatVersions: Record<string, number>;
  state: NodeState;
  /** Why it is in that state; null: nothing to say. */
  reason: string | null;
  /** Unix milliseconds by its own clock. */
  stateSinceMs: number;
  /** Of the live lane. */
  models: { name: string; version: string; state: ModelState }[];
  /** Predicted work of its live lane divided by its executors. */
  liveBacklogMs: number;
  /** Busy share of the live executors over the last seconds, 0 to 1; null: not known. */
  utilization: number | null;
  partitions: { id: string; class: 'reserved' | 'burstable'; cpus: number }[];
  /** Null: its runner does not answer. */
  batch: { rowsPerSecond: number; chunksRunning: number; paused: string | null } | null;
  /** What an operator must put right, as a second node with this id. */
  warnings: string[];
}

/** A node whose heartbeat is over although it did not leave. */
export interface LostNode {
  id: string;
  /** Unix milliseconds by the clock of Redis: its last heartbeat. */
  lastSeenMs: number;
  /** What it said then; null: it cannot be read. */
  last: NodeHeartbeat | null;
}

/** `GET /fleet`. */
export interface FleetView {
  fleet: string;
  /** The node that answers. */
  self: string;
  /** How old the list is, in ms; null: Redis was never read, and the node knows of itself only. */
  ageMs: number | null;
  /** Why the list is not read now; null: it is. */
  problem: string | null;
  nodes: NodeHeartbeat[];
  lost: LostNode[];
  /** Heartbeats that are not in a form that this release understands. */
  unreadable: number;
}
