export const READ_BYTES = 256 * 1024;
/** 4 MiB. */
const KEPT_MAX = 16;

/**
 * What files of this machine are read into. A reader takes one for each part; whoever has written the part somewhere may give it back,
 * and it is filled again. One that is not given back is left to the garbage collector, which then has to run for every few of them.
 */
class ReadBuffers {
  private readonly kept: ArrayBuffer[] = [];
  private readonly taken = new WeakSet<Buffer>();

  /** Of `READ_BYTES`, with anything in it. */
  take(): Buffer {
    const kept = this.kept.pop();
    const buffer = kept === undefined ? Buffer.allocUnsafeSlow(READ_BYTES) : Buffer.from(kept);
    this.taken.add(buffer);
    return buffer;
  }

  /** Only what was taken, whole and once, is filled again; a part or a copy of it is not. The caller must not look at it any more. */
  giveBack(buffer: unknown): void {
    if (!(buffer instanceof Buffer) || !this.taken.delete(buffer) || this.kept.length >= KEPT_MAX) return;
    this.kept.push(buffer.buffer as ArrayBuffer);
  }
}

export const readBuffers = new ReadBuffers();
