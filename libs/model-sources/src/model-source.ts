/** A file of a source, as the source lists it. */
export interface SourceFile {
  /** Relative to the model's folder, with slashes. */
  path: string;
  bytes: number;
  /** Hexadecimal; absent: the source gives none. */
  sha256?: string;
  /** Git's name of the content; absent: the source gives none. */
  gitSha1?: string;
}

/** A model at its source, at one revision: what `open` gives does not change. */
export interface ModelSource {
  /** As it was asked for, without what is secret. */
  uri: string;
  /** What was asked for became this: a commit, the digest of a manifest, or a digest over a list. */
  revision: string;
  /** Paths are checked. */
  files: SourceFile[];
  /**
   * The bytes of a file from `start` on. Rejects with a `SourceError`, or with a `TransientError` when another attempt may succeed;
   * so does the iteration.
   */
  open(file: SourceFile, start: number): Promise<AsyncIterable<Uint8Array>>;
}

/** Told while files arrive. */
export interface FetchProgress {
  begin(path: string, bytes: number): void;
  bytes(count: number): void;
  end(path: string): void;
}
