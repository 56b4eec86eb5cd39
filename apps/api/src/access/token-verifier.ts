import { digestOf, laneNames, modelNames, tenantName } from '@app/access';
import type { OidcConfig } from '@app/config';
import { InterleaveError } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { createRemoteJWKSet, customFetch, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import { ANONYMOUS, type Caller } from './caller';
import { Seldom } from './seldom';

const FETCH_MS_MAX = 5_000;
/** An issuer is asked for its keys this often at most, however many tokens name keys that it does not have. */
const COOLDOWN_MS = 30_000;
const KEYS_FRESH_MS = 10 * 60_000;
/** After one that failed, for whatever reason. */
const RETRY_MS = 5_000;
const TOKENS_MAX = 4096;
const VERIFICATIONS_MAX = 256;

interface KnownToken {
  caller: Caller;
  /** Unix seconds. */
  expiresAt: number;
}

/** Checks tokens of one OpenID Connect issuer. */
export class TokenVerifier {
  /** By hash: tokens are secrets. */
  private readonly known = new LRUCache<string, KnownToken>({ max: TOKENS_MAX });
  private keys: Promise<JWTVerifyGetKey> | null = null;
  private failedAtMs = -Infinity;
  private verifying = 0;
  private readonly failures = new Seldom();

  constructor(
    private readonly config: OidcConfig,
    private readonly log: Logger,
  ) {}

  /** Null: the token was not seen before, or is over. */
  callerOf(token: string): Caller | null {
    const known = this.known.get(digestOf(token));
    return known !== undefined && known.expiresAt > nowSeconds() ? known.caller : null;
  }

  /** Null: the token is not valid here. Rejects with `worker_unavailable` while the issuer's keys cannot be had, `overloaded` when too many come. */
  async verify(token: string): Promise<Caller | null> {
    if (this.verifying >= VERIFICATIONS_MAX) throw new InterleaveError('overloaded', 'Too many new tokens at once; try again');
    this.verifying += 1;
    try {
      return await this.check(token);
    } catch (error) {
      if (isTokenAtFault(error)) return null;
      throw this.unavailable(error as Error);
    } finally {
      this.verifying -= 1;
    }
  }

  private async check(token: string): Promise<Caller | null> {
    const { issuer, audience, algorithms, clockToleranceSeconds: clockTolerance } = this.config;
    const keys = await this.issuerKeys();
    const { payload } = await jwtVerify(token, keys, { issuer, audience, algorithms, clockTolerance, requiredClaims: ['exp'] });
    const caller = callerOfClaims(payload, this.config);
    if (caller !== null) this.known.set(digestOf(token), { caller, expiresAt: (payload.exp ?? 0) + clockTolerance });
    return caller;
  }

  private issuerKeys(): Promise<JWTVerifyGetKey> {
    if (this.keys === null) {
      this.keys = this.openKeys();
      this.keys.catch(() => (this.keys = null));
    }
    return this.keys;
  }

  private async openKeys(): Promise<JWTVerifyGetKey> {
    const url = this.config.jwksUrl ?? (await this.discover(this.config.issuer));
    return createRemoteJWKSet(new URL(url), {
      timeoutDuration: FETCH_MS_MAX,
      cooldownDuration: COOLDOWN_MS,
      cacheMaxAge: KEYS_FRESH_MS,
      [customFetch]: (address, options) => this.fetch(address, options),
    });
  }

  private async discover(issuer: string): Promise<string> {
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await this.fetch(url, { signal: AbortSignal.timeout(FETCH_MS_MAX), redirect: 'error' });
    const { issuer: named, jwks_uri: keysUrl } = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
    if (named !== issuer || typeof keysUrl !== 'string') throw new Error(`${url}: expected issuer ${issuer} and jwks_uri`);
    return keysUrl;
  }

  /** Leaves an issuer in peace that has just failed. */
  private async fetch(url: string, options: RequestInit): Promise<Response> {
    if (performance.now() - this.failedAtMs < RETRY_MS) throw new Error('the issuer has just failed');
    try {
      const response = await fetch(url, options);
      if (!response.ok) throw new Error(`${url} answered ${response.status}`);
      return response;
    } catch (error) {
      this.failedAtMs = performance.now();
      throw error;
    }
  }

  private unavailable({ message }: Error): InterleaveError {
    this.failures.happened((tokens) =>
      this.log.warn({ reason: message, tokens }, 'tokens cannot be checked: the keys of their issuer cannot be had'),
    );
    return new InterleaveError('worker_unavailable', 'Tokens cannot be checked now: their issuer does not answer; try again', {
      retryAfterSeconds: RETRY_MS / 1000,
    });
  }
}

/** Whatever the token says is its fault; that the keys cannot be fetched is not. */
function isTokenAtFault(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return false;
  return error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC';
}

/** Null: the token says nothing of a tenant, or says something that cannot be meant. */
function callerOfClaims(payload: JWTPayload, config: OidcConfig): Caller | null {
  const tenant = tenantName.safeParse(valueAt(payload, config.tenantClaim));
  const models = optional(modelNames, payload, config.modelsClaim);
  const lanes = optional(laneNames, payload, config.lanesClaim);
  if (!tenant.success || models?.success === false || lanes?.success === false) return null;
  return Object.freeze({
    ...ANONYMOUS,
    tenant: tenant.data,
    models: models?.data ?? null,
    lanes: lanes?.data ?? ANONYMOUS.lanes,
    isOperator: config.operatorClaim !== undefined && valueAt(payload, config.operatorClaim) === true,
  });
}

/** Null: the claim is not there. */
function optional<T>(schema: { safeParse(value: unknown): T }, payload: JWTPayload, claim: string | undefined): T | null {
  const value = claim === undefined ? undefined : valueAt(payload, claim);
  return value === undefined ? null : schema.safeParse(value);
}

/** The claim of that whole name (names may have dots, as URLs do), else what lies at that path. */
function valueAt(payload: JWTPayload, claim: string): unknown {
  if (Object.hasOwn(payload, claim)) return payload[claim];
  const own = (value: unknown, name: string): unknown =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  return claim.split('.').reduce<unknown>(own, payload);
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000);
