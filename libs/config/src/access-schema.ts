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

/** Who may call. */
export const accessSchema = z.strictObject({ mode: z.enum(ACCESS_MODES).default('auto'), oidc: oidcSchema.optional() }).prefault({});
