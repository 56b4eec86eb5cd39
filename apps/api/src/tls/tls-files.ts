import { isInDate, readTlsPair, type TlsPair, type TlsPaths } from '@app/system';
import type { Logger } from '@app/telemetry';

/**
 * Files are read again so often. Not watched: replaced files, replaced links to folders (Kubernetes) and network file
 * systems tell a watcher different things or nothing, and three small files cost less than a live request.
 */
const LOOK_MS = 1_000;

/** Certificate, key and client authorities as they stand in their files. The pair in use changes only to one that was checked. */
export class TlsFiles {
  private readonly listeners = new Set<(pair: TlsPair) => void>();
  private readonly timer: NodeJS.Timeout;
  /** Why the files cannot be used; null: they can. */
  private problem: string | null = null;
  private isTold = false;
  /** The look that runs, or the last one. */
  private looking = Promise.resolve();
  private isLooking = false;

  private constructor(
    private readonly paths: TlsPaths,
    private pair: TlsPair,
    private readonly log: Logger,
  ) {
    this.timer = setInterval(() => void (this.isLooking || this.look()), LOOK_MS).unref();
  }

  /** Rejects with what is wrong with the files. */
  static async open(paths: TlsPaths, log: Logger): Promise<TlsFiles> {
    const files = new TlsFiles(paths, await readTlsPair(paths), log);
    files.warn();
    return files;
  }

  get current(): TlsPair {
    return this.pair;
  }

  /** Called with each new pair. */
  onChange(listener: (pair: TlsPair) => void): void {
    this.listeners.add(listener);
  }

  close(): void {
    clearInterval(this.timer);
    this.listeners.clear();
  }

  /** Reads the files, after a look that runs: that one may have read them before they changed. */
  look(): Promise<void> {
    this.looking = this.looking.then(() => this.lookOnce());
    return this.looking;
  }

  /** Certificate and key come one after the other: what is wrong for one look is no news, and is told at the second. */
  private async lookOnce(): Promise<void> {
    this.isLooking = true;
    const read = await this.read().finally(() => (this.isLooking = false));
    if (typeof read !== 'string') return this.use(read);
    if (read !== this.problem) this.isTold = false;
    else if (!this.isTold) {
      this.isTold = true;
      this.log.error({ reason: read }, 'the TLS files cannot be used; the certificate from before stays in use');
    }
    this.problem = read;
  }

  private async read(): Promise<TlsPair | string> {
    try {
      const pair = await readTlsPair(this.paths);
      const isWorse = isInDate(this.pair) && !isInDate(pair);
      return isWorse ? `tls.certFile ${this.paths.certFile}: ${datesOf(pair)}, and that in use is in date` : pair;
    } catch (error) {
      return (error as Error).message;
    }
  }

  private use(pair: TlsPair): void {
    const { cert, key, clientCa } = this.pair;
    this.problem = null;
    if (pair.cert === cert && pair.key === key && pair.clientCa === clientCa) return;
    this.pair = pair;
    for (const listener of this.listeners) listener(pair);
    this.log.info({ names: pair.subject, until: new Date(pair.validToMs).toISOString() }, 'new connections get the new certificate');
    this.warn();
  }

  private warn(): void {
    const { certFile } = this.paths;
    if (!isInDate(this.pair)) this.log.warn(`tls.certFile ${certFile}: ${datesOf(this.pair)}; callers will refuse it`);
    if (!this.pair.isChainInOrder)
      this.log.warn(`tls.certFile ${certFile}: expected each certificate to be issued by the next one; some callers will refuse it`);
  }
}

function datesOf({ validFromMs, validToMs }: TlsPair): string {
  return `valid from ${new Date(validFromMs).toISOString()} to ${new Date(validToMs).toISOString()}, which is not now`;
}
