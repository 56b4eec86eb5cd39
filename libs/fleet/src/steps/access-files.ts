import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { createSecureContext } from 'node:tls';
import { InterleaveError } from '@app/contracts';
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';

const FRESH_MS = 10_000;

/** What a node shows and trusts where it calls others; PEM files, and a file with an API key. Null: not set. */
export interface NodeAccess {
  keyFile: string | null;
  caFile: string | null;
  certFile: string | null;
  certKeyFile: string | null;
  /** Larger answers are refused. */
  answerBytesMax: number;
}

/** These files as they are now: they are read anew every ten seconds, so that they can be replaced. */
export class AccessFiles {
  readonly answerBytesMax: number;
  /** Raised with every new set of files for TLS. */
  private set = 0;
  private texts = '';
  private usable: ChannelCredentials | null = null;
  private problem: Error | null = null;
  private apiKey = '';
  private tlsReadMs = -Infinity;
  private keyReadMs = -Infinity;

  constructor(private readonly access: NodeAccess) {
    this.answerBytesMax = access.answerBytesMax;
  }

  /** Null: none is shown. Throws `model_not_servable` where the file cannot be read. */
  key(): string | null {
    const { keyFile } = this.access;
    if (keyFile === null) return null;
    if (performance.now() - this.keyReadMs < FRESH_MS) return this.apiKey || null;
    try {
      this.apiKey = readFileSync(keyFile, 'utf8').trim();
    } catch (error) {
      throw new InterleaveError('model_not_servable', `FLEET_KEY_FILE cannot be read: ${(error as Error).message}`, { cause: error });
    }
    this.keyReadMs = performance.now();
    return this.apiKey || null;
  }

  /** Which set of files `tls` stands for. */
  tlsSet(): number {
    this.readTls();
    return this.set;
  }

  /** What does not fit together leaves the set before in use; throws `model_not_servable` where there is none. */
  tls(): ChannelCredentials {
    this.readTls();
    if (this.usable !== null) return this.usable;
    const reason = `the files for TLS to other nodes cannot be used: ${this.problem?.message}; see FLEET_CA_FILE and tls`;
    throw new InterleaveError('model_not_servable', reason, { cause: this.problem });
  }

  private readTls(): void {
    if (performance.now() - this.tlsReadMs < FRESH_MS) return;
    this.tlsReadMs = performance.now();
    const { caFile, certFile, certKeyFile } = this.access;
    try {
      const [ca, cert, key] = [caFile, certFile, certKeyFile].map((path) => (path === null ? null : readFileSync(path)));
      const texts = [ca, cert, key].join('\n');
      if (texts === this.texts) return;
      if (ca) new X509Certificate(ca); // a context takes any text for authorities
      createSecureContext({ ca: ca ?? undefined, cert: cert ?? undefined, key: key ?? undefined });
      this.usable = credentials.createSsl(ca, key, cert);
      this.texts = texts;
      this.set++;
    } catch (error) {
      this.problem = error as Error;
    }
  }
}
