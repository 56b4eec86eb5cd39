import { timingSafeEqual } from 'node:crypto';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isExpired, KeyFileError, readKeyFile, type KeyRecord } from '@app/access';
import type { Logger } from '@app/telemetry';
import type { Caller } from './caller';

/** A change of the file is taken up within so long. */
const POLL_MS = 250;

/** Time to make a new key and hand it out, as for certificates. */
const ENDING_MS = 14 * 24 * 3600_000;

/** The version of a file that is not there. */
const NO_FILE = 'ENOENT';

/** `damaged`: there are keys, and they cannot be read: nobody may come in. */
export type KeyRingState = 'absent' | 'ready' | 'damaged';

/** `ending`: within 14 days. A key is in one of them. */
export type KeyCounts = Record<'valid' | 'ending' | 'expired', number>;

interface HeldKey {
  digest: Buffer;
  expiresAt: number | null;
  /** Null: of nobody. */
  caller: Caller | null;
}

export interface KeyRingFiles {
  path: string;
  /** As `keysSeenPath`. */
  seenPath: string;
}

/** Compared with what is not found, so that the work is the same. */
const NOBODY: HeldKey = { digest: Buffer.alloc(32), expiresAt: 0, caller: null };

/** The keys of the node in memory, by their hash; follows the file. Requests in flight are not touched by a change. Close it when done. */
export class KeyRing {
  private held = new Map<string, HeldKey>();
  private current: KeyRingState = 'absent';
  private version = '';
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly files: KeyRingFiles,
    private readonly log: Logger,
  ) {
    this.timer = setInterval(() => this.poll(), POLL_MS);
    this.timer.unref();
    this.poll();
  }

  get state(): KeyRingState {
    return this.current;
  }

  /** `digest`: hexadecimal. Null, after the same work, for a key that is not known and for one that has expired. */
  find(digest: string): Caller | null {
    const key = this.held.get(digest) ?? NOBODY;
    const isEqual = timingSafeEqual(key.digest, Buffer.from(digest, 'hex'));
    const isOver = isExpired(key);
    return isEqual && !isOver ? key.caller : null;
  }

  /** Nothing of the keys themselves. Keys that are over stay in the file until they are revoked. */
  counts(): KeyCounts {
    const soonMs = Date.now() + ENDING_MS;
    const counts = { valid: 0, ending: 0, expired: 0 };
    for (const key of this.held.values()) counts[isExpired(key) ? 'expired' : isExpired(key, soonMs) ? 'ending' : 'valid'] += 1;
    return counts;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private poll(): void {
    const version = versionOf(this.files.path);
    if (version === this.version) return;
    this.version = version;
    if (version !== NO_FILE) this.noteSeen();
    this.read();
  }

  /** Also of a file that is damaged. */
  private noteSeen(): void {
    const { seenPath } = this.files;
    try {
      mkdirSync(dirname(seenPath), { recursive: true });
      writeFileSync(seenPath, '');
    } catch (error) {
      this.log.warn({ err: error }, 'it cannot be noted that there are keys; were they to vanish, the next process would let everybody in');
    }
  }

  private read(): void {
    try {
      const { path, seenPath } = this.files;
      const keys = readKeyFile(path);
      // A file that vanishes while the node runs must not open the door, nor when this process ends and another takes its place.
      if (keys === null && (this.current !== 'absent' || existsSync(seenPath)))
        throw new KeyFileError(`${path} is gone; put it back, or restart the node`);
      this.held = new Map((keys ?? []).map((key) => [key.sha256, hold(key)]));
      if (keys !== null && this.current !== 'absent') this.log.info({ keys: keys.length }, 'the keys have changed');
      this.current = keys === null ? 'absent' : 'ready';
    } catch (error) {
      if (!(error instanceof KeyFileError)) throw error;
      this.held = new Map();
      this.current = 'damaged';
      this.log.error({ reason: error.message }, 'the keys cannot be read; no request is accepted');
    }
  }
}

/** Replaced files have another inode; what is not there has no version. */
function versionOf(path: string): string {
  try {
    const { ino, mtimeNs, size } = statSync(path, { bigint: true });
    return `${ino} ${mtimeNs} ${size}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

function hold(key: KeyRecord): HeldKey {
  return { digest: Buffer.from(key.sha256, 'hex'), expiresAt: key.expiresAt, caller: callerOfKey(key) };
}

function callerOfKey({ id, tenant, models, lanes, weight, shareMsPerSecond, isOperator }: KeyRecord): Caller {
  return Object.freeze({ keyId: id, tenant, models, lanes, weight, shareMsPerSecond, isOperator });
}
