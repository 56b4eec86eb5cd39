import { createHash } from 'node:crypto';

/** A file as it was fetched. */
export interface FetchedFile {
  path: string;
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

/** `source.json`, beside the files of a version: where they came from. */
export interface SourceRecord {
  formatVersion: 1;
  uri: string;
  /** What the URI stood for: a commit, a digest of a manifest, or one over a list. */
  revision: string;
  /** Over the files; see `digestOf`. */
  digest: string;
  fetchedAt: string;
  files: FetchedFile[];
}

export const SOURCE_RECORD = 'source.json';

/** SHA-256 of what `sha256sum` prints for the files, in the order of their paths' bytes: the same files have the same digest, wherever they came from. */
export function digestOf(files: readonly FetchedFile[]): string {
  const ordered = [...files].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const hash = createHash('sha256');
  for (const { sha256, path } of ordered) hash.update(`${sha256}  ${path}\n`);
  return `sha256:${hash.digest('hex')}`;
}
