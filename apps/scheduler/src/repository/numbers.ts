import type { RepositoryMemory } from '@app/contracts';

type Known = RepositoryMemory['revisions'][number];

const keyOf = (name: string, version: string, fingerprint: string): string => JSON.stringify([name, version, fingerprint]);

/** Gives each set of files of a model version a number. Equal files have one number, also after a restart; no number comes back. */
export class RevisionNumbers {
  private last: number;
  private readonly known: Map<string, Known>;

  /** `memory`: of the scheduler before; undefined: there was none. */
  constructor(memory: RepositoryMemory | undefined) {
    this.last = memory?.lastRevision ?? 0;
    this.known = new Map((memory?.revisions ?? []).map((known) => [keyOf(known.name, known.version, known.fingerprint), known]));
  }

  numberOf(name: string, version: string, fingerprint: string): number {
    const key = keyOf(name, version, fingerprint);
    const known = this.known.get(key) ?? { name, version, fingerprint, revision: ++this.last };
    this.known.set(key, known);
    return known.revision;
  }

  /** The same files get another number: they are tried anew. */
  renew(name: string, version: string, fingerprint: string): void {
    this.known.delete(keyOf(name, version, fingerprint));
  }

  /** Fingerprint of a revision; null: not known. */
  fingerprintOf(revision: number): string | null {
    return [...this.known.values()].find((known) => known.revision === revision)?.fingerprint ?? null;
  }

  /** For the next scheduler. Numbers of files that `isKept` refuses are forgotten, and are not given again. */
  memory(isKept: (known: Known) => boolean): Pick<RepositoryMemory, 'lastRevision' | 'revisions'> {
    for (const [key, known] of this.known) if (!isKept(known)) this.known.delete(key);
    return { lastRevision: this.last, revisions: [...this.known.values()] };
  }
}
