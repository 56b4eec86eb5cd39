import { LANES } from '@app/contracts';
import { z } from 'zod';

export const KEY_FORMAT_VERSION = 1;
export const KEYS_MAX = 4096;
const KEY_MODELS_MAX = 256;
/** Executor milliseconds per second: a node has at most 8192 executors. */
const SHARE_MS_PER_SECOND_MIN = 0.001;
const SHARE_MS_PER_SECOND_MAX = 8_192_000;
/** Below it sums of executor time ÷ weight lose the digits of a run, and all tenants their shares. */
const WEIGHT_MIN = 0.001;
const WEIGHT_MAX = 1000;
const SHARE_EXPECTED = `expected milliseconds per second from ${SHARE_MS_PER_SECOND_MIN} to ${SHARE_MS_PER_SECOND_MAX}`;
const WEIGHT_EXPECTED = `expected a number from ${WEIGHT_MIN} to ${WEIGHT_MAX}`;
const DIGEST = /^[0-9a-f]{64}$/;

export const tenantName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected 1 to 64 letters, digits, "-", "_" and ".", beginning with a letter or a digit');
export const modelNames = z.array(z.string().min(1).max(260)).min(1).max(KEY_MODELS_MAX);
export const laneNames = z.array(z.enum(LANES)).min(1);

/** What whoever makes a key decides. Times are Unix seconds. */
export const grantSchema = z.strictObject({
  name: z.string().max(128).nullable(),
  tenant: tenantName,
  /** Null: all. */
  models: modelNames.nullable(),
  lanes: laneNames,
  /** Executor milliseconds per second of the tenant; null: no limit. */
  shareMsPerSecond: z
    .number(SHARE_EXPECTED)
    .min(SHARE_MS_PER_SECOND_MIN, SHARE_EXPECTED)
    .max(SHARE_MS_PER_SECOND_MAX, SHARE_EXPECTED)
    .nullable(),
  weight: z.number(WEIGHT_EXPECTED).min(WEIGHT_MIN, WEIGHT_EXPECTED).max(WEIGHT_MAX, WEIGHT_EXPECTED),
  /** Opens the dashboard, the queues and the metrics, and sees what all tenants have. */
  isOperator: z.boolean(),
  /** Null: never. */
  expiresAt: z.int().nonnegative().nullable(),
});
export type KeyGrant = z.infer<typeof grantSchema>;

/** What is kept of a key: never the key itself. */
const keyRecord = grantSchema.extend({
  id: z.string().regex(/^key_[a-z0-9]{12}$/),
  /** The first characters of the key, by which its owner knows it. */
  prefix: z.string().max(16),
  /** SHA-256 of the key, hexadecimal. */
  sha256: z.string().regex(DIGEST),
  createdAt: z.int().nonnegative(),
});

export const keyFile = z.strictObject({ formatVersion: z.literal(KEY_FORMAT_VERSION), keys: z.array(keyRecord).max(KEYS_MAX) });

export type KeyRecord = z.infer<typeof keyRecord>;

export function isExpired({ expiresAt }: Pick<KeyRecord, 'expiresAt'>, nowMs = Date.now()): boolean {
  return expiresAt !== null && expiresAt * 1000 <= nowMs;
}
