import { asksWho, digestOf, keyFilePath, keysSeenPath } from '@app/access';
import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { ANONYMOUS, type Caller } from './caller';
import { KeyRing, type KeyCounts } from './key-ring';
import { Seldom } from './seldom';
import type { TokenVerifier } from './token-verifier';

/** What a request shows, in whatever protocol it comes. */
export interface Credentials {
  /** `Authorization`. */
  authorization?: string | undefined;
  /** `x-api-key`; taken in place of `authorization` where both are there. */
  apiKey?: string | undefined;
}

const BEARER = /^Bearer +(\S+) *$/i;

/** Decides who a caller is. One for all protocols of the process; close it when done. */
export class Access {
  private refusedCount = 0;
  private readonly refusals = new Seldom();

  private constructor(
    private readonly config: Config,
    private readonly keys: KeyRing,
    private readonly tokens: TokenVerifier | null,
    private readonly log: Logger,
  ) {}

  static async open(config: Config, log: Logger): Promise<Access> {
    const { oidc } = config.access;
    // Its library is loaded where it is used only.
    const tokens = oidc === undefined ? null : new (await import('./token-verifier')).TokenVerifier(oidc, log);
    return new Access(config, new KeyRing({ path: keyFilePath(config.dataDir), seenPath: keysSeenPath(config.runDir) }, log), tokens, log);
  }

  /** Whether callers must show a key or a token. */
  get isRequired(): boolean {
    return asksWho(this.config, this.keys.state !== 'absent');
  }

  /** Requests that were refused for what they showed. */
  get refused(): number {
    return this.refusedCount;
  }

  keyCounts(): KeyCounts {
    return this.keys.counts();
  }

  /**
   * Who shows these; `ANONYMOUS` where nobody is asked. Throws, or rejects with, `unauthorized`, and `worker_unavailable` while
   * keys cannot be read. A promise for tokens that were not seen before only.
   */
  callerOf(credentials: Credentials): Caller | Promise<Caller> {
    if (!this.isRequired) return ANONYMOUS;
    this.checkKeys();
    const secret = secretOf(credentials);
    if (this.tokens !== null && isToken(secret)) return this.tokens.callerOf(secret) ?? this.verified(this.tokens, secret);
    // What is missing or malformed is looked up like everything else.
    return this.callerOfDigest(digestOf(secret));
  }

  /** Of the key with this hash (`digestOf`). Throws as `callerOf` does. */
  callerOfDigest(digest: string): Caller {
    this.checkKeys();
    return this.keys.find(digest) ?? this.refuse();
  }

  close(): void {
    this.keys.close();
  }

  private async verified(tokens: TokenVerifier, token: string): Promise<Caller> {
    return (await tokens.verify(token)) ?? this.refuse();
  }

  private checkKeys(): void {
    if (this.keys.state !== 'damaged') return;
    throw new InterleaveError('worker_unavailable', 'The keys of this node cannot be read now, so it accepts no request; its log says why');
  }

  /** One answer to everything: a caller must not learn whether a key was never there, is over, or was revoked. */
  private refuse(): never {
    this.refusedCount += 1;
    this.refusals.happened((requests) => this.log.warn({ requests }, 'requests without a valid key were refused'));
    throw new InterleaveError(
      'unauthorized',
      'Expected a valid key in "Authorization: Bearer <key>" or "x-api-key: <key>"; ask the operator of this node for one',
    );
  }
}

function secretOf({ authorization, apiKey }: Credentials): string {
  return apiKey ?? BEARER.exec(authorization ?? '')?.[1] ?? '';
}

/** A JSON Web Token: keys have no dot. */
const isToken = (secret: string): boolean => secret.split('.', 4).length === 3;
