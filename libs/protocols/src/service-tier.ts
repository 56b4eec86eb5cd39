import { InterleaveError } from '@app/contracts';

/** `flex` runs in the batch lane, `priority` ahead of others in the live lane. */
export const SERVICE_TIERS = ['default', 'flex', 'priority'] as const;
export type ServiceTier = (typeof SERVICE_TIERS)[number];

const WORDS: ReadonlyMap<unknown, ServiceTier> = new Map([...SERVICE_TIERS.map((tier) => [tier, tier] as const), ['auto', 'default']]);

/** The tier that a field or header asks for; null: it is not there. Throws `invalid_request`, with the name as `param`. */
export function readServiceTier(value: unknown, name: string): ServiceTier | null {
  if (value === undefined || value === null) return null;
  const tier = WORDS.get(value);
  if (tier !== undefined) return tier;
  const received = typeof value === 'string' ? JSON.stringify(value.slice(0, 128)) : typeof value;
  throw new InterleaveError('invalid_request', `expected "auto", "default", "flex" or "priority" for ${name} but received ${received}`, {
    param: name,
  });
}
