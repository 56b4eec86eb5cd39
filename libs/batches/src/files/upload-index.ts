import { binaryKind, HEAD_BYTES, type BinaryKind } from './file-format';
import { LineIndexer, type IndexLimits } from './line-index';

/** The line index of a file that is being received, unless its first bytes say that it has no lines. */
export class UploadIndex {
  private bytes = 0;
  /** The first bytes, until they are enough to tell. */
  private head: Buffer | null = Buffer.alloc(0);
  private readonly indexer: LineIndexer;
  private kind: BinaryKind | null = null;

  constructor(limits: IndexLimits) {
    this.indexer = new LineIndexer(limits);
  }

  get byteCount(): number {
    return this.bytes;
  }

  /** Throws as `LineIndexer.push`. */
  push(part: Uint8Array): void {
    this.bytes += part.length;
    if (this.head === null) return this.index(part);
    this.head = Buffer.concat([this.head, part]);
    if (this.head.length >= HEAD_BYTES) this.decide();
  }

  /** What is known once all is there; `lines` null: it has none that could be read where they are. */
  finish(): { lines: { rows: number; encoded: Buffer } | null; binary: BinaryKind | null } {
    this.decide();
    if (this.kind !== null) return { lines: null, binary: this.kind };
    return { lines: { rows: this.indexer.rowCount, encoded: this.indexer.encode() }, binary: null };
  }

  private decide(): void {
    const { head } = this;
    if (head === null) return;
    this.head = null;
    this.kind = binaryKind(head);
    this.index(head);
  }

  private index(part: Uint8Array): void {
    if (this.kind === null) this.indexer.push(part);
  }
}
