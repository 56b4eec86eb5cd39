import { isIP } from 'node:net';
import { NODE_ADDRESS, NODE_ID } from '@app/config';
import { NODE_STATES, type NodeHeartbeat } from '@app/contracts';
import { z } from 'zod';

/** Longer ones are not read. */
export const HEARTBEAT_CHARS_MAX = 64 * 1024;
export const MODELS_MAX = 256;

const text = z.string().max(1024);
const port = z.int().min(0).max(65_535);
const share = z.number().min(0).max(1);
const count = z.number().min(0);

/** Of what may differ in other releases, the nearest that can be shown; what nodes cannot do without must be right. */
const schema = z.object({
  id: z.string().regex(NODE_ID),
  bootId: z.string().min(1).max(128),
  address: z.string().regex(NODE_ADDRESS),
  ip: z
    .string()
    .refine((address) => isIP(address) !== 0)
    .nullable()
    .catch(null),
  httpPort: port,
  grpcPort: port,
  tls: z.boolean(),
  version: text.catch('unknown'),
  formatVersions: z.record(z.string().max(64), z.int().min(0)).catch({}),
  state: z.enum(NODE_STATES),
  reason: text.nullable().catch(null),
  stateSinceMs: count.catch(0),
  models: z
    .array(z.object({ name: z.string().max(256), version: z.string().max(256), state: z.enum(['loading', 'ready', 'failed']) }))
    .max(MODELS_MAX)
    .catch([]),
  liveBacklogMs: count.catch(0),
  utilization: share.nullable().catch(null),
  partitions: z
    .array(z.object({ id: z.string().max(64), class: z.enum(['reserved', 'burstable']), cpus: count }))
    .max(64)
    .catch([]),
  batch: z.object({ rowsPerSecond: count, chunksRunning: count, paused: text.nullable() }).nullable().catch(null),
  warnings: z.array(text).max(16).catch([]),
});

/** Null: not the heartbeat of a node with this id, or in a form that this release does not understand. */
export function parseHeartbeat(id: string, json: string): NodeHeartbeat | null {
  if (json.length > HEARTBEAT_CHARS_MAX) return null;
  try {
    const { success, data } = schema.safeParse(JSON.parse(json));
    return success && data.id === id ? data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
