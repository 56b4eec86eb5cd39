import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, type ProcessIdentity } from './proc-fs';

export interface PidRecord extends ProcessIdentity {
  /** Hash of the fingerprint of the spec that it was started with. */
  fingerprintHash: string;
}

const SUFFIX = '.pid.json';

/** What runs now, written to the run directory for the next scheduler. */
export class PidFiles {
  constructor(private readonly runDir: string) {}

  write(id: string, identity: ProcessIdentity, fingerprint: string): void {
    const record: PidRecord = { ...identity, fingerprintHash: hashOf(fingerprint) };
    const path = this.path(id);
    writeFileSync(`${path}.tmp`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  }

  /** Null when there is no readable record. */
  read(id: string): PidRecord | null {
    try {
      const { pid, startKey, fingerprintHash } = JSON.parse(readFileSync(this.path(id), 'utf8')) as Partial<PidRecord>;
      if (!Number.isInteger(pid) || typeof startKey !== 'string' || typeof fingerprintHash !== 'string') return null;
      return { pid: Number(pid), startKey, fingerprintHash };
    } catch {
      return null;
    }
  }

  remove(id: string): void {
    rmSync(this.path(id), { force: true });
  }

  ids(): string[] {
    return readdirSync(this.runDir)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length));
  }

  /** Those of an earlier scheduler that still run. */
  running(): (PidRecord & { id: string })[] {
    return this.ids().flatMap((id) => {
      const record = this.read(id);
      return record !== null && isRunning(record) ? [{ ...record, id }] : [];
    });
  }

  anyRuns(): boolean {
    return this.running().length > 0;
  }

  private path(id: string): string {
    return join(this.runDir, id + SUFFIX);
  }
}

export function matches(record: PidRecord, fingerprint: string): boolean {
  return record.fingerprintHash === hashOf(fingerprint);
}

function hashOf(fingerprint: string): string {
  return createHash('sha256').update(fingerprint).digest('hex');
}
