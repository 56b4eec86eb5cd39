/** A small object with the token that `putIfUnchanged` compares. */
export interface StoredObject {
  bytes: Buffer;
  version: string;
  /** Unix milliseconds, by the clock of the store. */
  modifiedMs: number;
}

export interface ObjectFacts {
  byteCount: number;
  /** Unix milliseconds, by the clock of the store. */
  modifiedMs: number;
}

/** First byte, and the first byte not read. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * One object in the making, of any length: nothing is visible before a commit. After a commit or a `discard` no other call
 * may follow but `discard`, which is then harmless.
 */
export interface ObjectWriter {
  append(part: Uint8Array): Promise<void>;
  commit(): Promise<void>;
  /** False: the object was there already and is as it was; what was written is gone. */
  commitIfAbsent(): Promise<boolean>;
  /** Never rejects. */
  discard(): Promise<void>;
}

/**
 * Where files, manifests and results of the batch lane are kept: a directory of one node, or a bucket of an S3-compatible
 * store that many nodes share. Keys are paths with `/`, made of checked ids only. Whatever is acknowledged is durable, and
 * seen at once by whoever asks next. Rejects with `storage_full` (507) or `storage_unavailable` (503).
 */
export interface ObjectStore {
  /** For messages. */
  readonly kind: 'directory' | 'bucket';
  readonly address: string;
  /** Whole; for objects of at most some MiB. Null: there is none. */
  get(key: string): Promise<StoredObject | null>;
  head(key: string): Promise<ObjectFacts | null>;
  /** Where the object is on a disk of this machine, for who only reads it; null: it is not. */
  localPath(key: string): string | null;
  /** A stream, whose bytes belong to who reads them. It fails when there is no such object, or it ends before `range.end`. */
  read(key: string, range: ByteRange): AsyncIterable<Buffer>;
  /** The last `byteCount` bytes. Null: there is no such object. */
  readTail(key: string, byteCount: number): Promise<Buffer | null>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** False: there is one already, which stays as it is. */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * For objects that are never `put`. Versions are of the bytes: to write the bytes that are there already may count as a change or not.
   * The new version; null: the object is not of `version` any more, or gone, and stays as it is.
   */
  putIfUnchanged(key: string, bytes: Uint8Array, version: string): Promise<string | null>;
  openWriter(key: string): Promise<ObjectWriter>;
  /** The names directly below `prefix` (which ends with `/`), of objects and of folders alike, sorted. */
  listNames(prefix: string): Promise<string[]>;
  /** No error when there is none. */
  delete(key: string): Promise<void>;
  /** Every object below `prefix`, which ends with `/`. */
  deleteAll(prefix: string): Promise<void>;
  /** Removes what killed processes left half written, once it is older than this. */
  sweep(olderThanMs: number): Promise<void>;
  /** Why `byteCount` more may not be written now; null when they may. */
  refusal(byteCount: number): Promise<string | null>;
}
