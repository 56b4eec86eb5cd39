import { z } from 'zod';

/** `auto`: as `required` once there is a key, an issuer of tokens, or an address that other machines reach; else as `open`. */
export const ACCESS_MODES = ['auto', 'required', 'open'] as const;

/** No symmetric algorithm: a public key must never serve as a shared secret. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;
const LOCAL_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whoever can change what comes over the wire could sign tokens of their own. */
const issuerUrl = z.url().refine((text) => {
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && LOCAL_NAMES.has(hostname));
}, 'expected https://, or http:// on this machine');
/** The path of a claim: "tenant", or "resource_access.interleave.tenant". */
const claim = z.string().min(1).max(256);

const oidcSchema = z.strictObject({
  /** The `iss` of its tokens, to the letter. */
  issuer: issuerUrl,
  /** What `aud` of a token must name. */
  audience: z.string().min(1).max(256),
  /** Where its keys are; default: what `/.well-known/openid-configuration` of the issuer says. */
  jwksUrl: issuerUrl.optional(),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).default(['RS256', 'ES256', 'EdDSA']),
  /** Difference of clocks in seconds. */
  clockToleranceSeconds: z.int().min(0).max(300).default(30),
  tenantClaim: claim.default('tenant'),
  /** A list of models, of lanes; without the claim in a token: all. */
  modelsClaim: claim.optional(),
  lanesClaim: claim.optional(),
  /** True in tokens of operators. */
  operatorClaim: claim.optional(),
});
export type OidcConfig = z.infer<typeof oidcSchema>;

const TENANT = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const TENANTS_MAX = 4096;
const quota = z.int().positive().optional();

/** What a tenant may have in the batch lane at one moment; a key that is absent: no limit. */
const quotaSchema = z.strictObject({
  /** All its files, outputs and uploads that are not completed among them. */
  fileBytes: quota,
  openBatches: quota,
  /** Of all its open batches together. */
  rows: quota,
});
export type TenantQuota = z.infer<typeof quotaSchema>;

const tenantSchema = z.strictObject({ quota: quotaSchema.prefault({}) });

/** Who may call, and what tenants may have. */
export const accessSchema = z
  .strictObject({
    mode: z.enum(ACCESS_MODES).default('auto'),
    oidc: oidcSchema.optional(),
    tenants: z
      .record(z.string().regex(TENANT, 'expected the name of a tenant'), tenantSchema)
      .refine((tenants) => Object.keys(tenants).length <= TENANTS_MAX, `expected at most ${TENANTS_MAX} tenants`)
      .default({}),
  })
  .prefault({});
