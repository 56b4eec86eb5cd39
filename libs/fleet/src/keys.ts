/** Three times in a row may fail, in a failover of Redis for example, before a node counts as lost. */
export const HEARTBEAT_MS = 2_000;
export const HEARTBEAT_LIFE_MS = 8_000;
/** A node that did not leave is listed as lost for so long. */
export const LOST_MS = 15 * 60_000;
/** Of one fleet, lost ones included: those seen last. */
export const NODES_MAX = 1024;

/** Names of keys in Redis. */
export function fleetKeys(fleet: string) {
  const prefix = `interleave-fleet-${fleet}`;
  const nodePrefix = `${prefix}:node:`;
  const lastPrefix = `${prefix}:last:`;
  return { nodePrefix, lastPrefix, seen: `${prefix}:seen`, of: (id: string) => [nodePrefix + id, lastPrefix + id, `${prefix}:seen`] };
}
