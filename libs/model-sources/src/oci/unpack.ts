import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { type Duplex, Transform, type TransformCallback, Writable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { isCode, pathProblem } from '../safe-path';
import { writeAll } from '../write-all';
import { SourceError } from '../source-error';

const ENTRIES_MAX = 100_000;
/** Of the layers of images: what a later layer takes away from those below it. */
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** What the archive is about, beside its entries. */
const META_BYTES_MAX = 1024 * 1024;

export interface UnpackOptions {
  from: string;
  gzip: boolean;
  /** Folder of the archive that is the model's, with a slash at its end; empty: all of it is. */
  root: string;
  bytesMax: number;
  filesMax: number;
  /** A path that is not there yet, for the next file. */
  place: () => string;
}

/** Files of the model by path in it, each with where it was unpacked to. */
export type Unpacked = Map<string, { place: string; bytes: number }>;

/**
 * Adds the files of an archive to `unpacked`, as a layer over those that are there. Names of the archive become paths of the list
 * only: on disk every file lies where `place` says. Rejects with a `SourceError` for links, devices and paths that lead out, and for
 * more bytes or entries than may be.
 */
export async function unpack(archive: string, unpacked: Unpacked, options: UnpackOptions): Promise<void> {
  const layer = new Layer(unpacked, options);
  const steps = [createReadStream(archive), ...(options.gzip ? [createGunzip()] : []), byteLimit(options), entries(layer)];
  try {
    await pipeline(steps as Duplex[]);
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError(`${options.from}: a layer is no sound archive (${(error as Error).message})`);
  } finally {
    await layer.close();
  }
}

/** A small archive can unpack to anything. */
function byteLimit({ bytesMax, from }: UnpackOptions): Transform {
  let count = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      count += chunk.length;
      if (count > bytesMax) done(new SourceError(`${from}: a layer unpacks to more than ${bytesMax} bytes; allow more with --bytes-max`));
      else done(null, chunk);
    },
  });
}

/** Reads one entry after the other: the next chunk is taken when the files of the last one are written as far as they go. */
function entries(layer: Layer): Writable {
  const parser = new Parser({ strict: true, maxMetaEntrySize: META_BYTES_MAX, onReadEntry: (entry) => layer.take(entry) });
  let failure: Error | null = null;
  parser.on('error', (error: Error) => (failure ??= error));
  const failed = (): Error | null => layer.failure ?? failure;
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (failed() !== null) return done(failed());
      if (parser.write(chunk)) return done(failed());
      parser.once('drain', () => done(failed()));
    },
    final(done) {
      parser.once('end', () => void layer.finish().then(() => done(failed()), done));
      parser.once('error', () => done(failed()));
      parser.end();
    },
  });
}

class Layer {
  failure: Error | null = null;
  private count = 0;
  private bytes: number;
  private readonly writes: Promise<void>[] = [];
  private readonly open = new Set<FileHandle>();
  /** Names of this layer, which its own whiteouts do not concern. */
  private readonly own = new Set<string>();

  constructor(
    private readonly unpacked: Unpacked,
    private readonly options: UnpackOptions,
  ) {
    this.bytes = [...unpacked.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  take(entry: ReadEntry): void {
    try {
      const path = this.pathOf(entry);
      const target = path === null ? null : this.placeFor(path, entry);
      if (target === null) entry.resume();
      else this.writes.push(this.write(entry, target));
    } catch (error) {
      this.failure ??= error as Error;
      entry.resume();
    }
  }

  async finish(): Promise<void> {
    await Promise.all(this.writes);
  }

  /** The path in the model; null: no file of it. */
  private pathOf({ path: written, type }: ReadEntry): string | null {
    const { from, root } = this.options;
    this.count += 1;
    if (this.count > ENTRIES_MAX) throw new SourceError(`${from}: a layer has more than ${ENTRIES_MAX} entries`);
    const path = written.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    if (path === '' || path === '.') return null;
    const problem = pathProblem(path);
    const isOfModel = `${path}/`.startsWith(root);
    // What lies beside the model is not unpacked, so its names do no harm; but names that lead elsewhere are nobody's mistake.
    if (problem !== null && (isOfModel || /(^\/|(^|\/)\.\.(\/|$))/.test(path)))
      throw new SourceError(`${from} holds ${JSON.stringify(path.slice(0, 300))}, a path that ${problem}; nothing of it is used`);
    if (root !== '' && (path === OPAQUE || `${path}/` === WHITEOUT + root)) return this.hide(OPAQUE, OPAQUE);
    if (!isOfModel || type === 'Directory' || type === 'GNUDumpDir') return null;
    return path.slice(root.length);
  }

  /** Where a file is written to; null: nothing is. */
  private placeFor(path: string, { type, size }: ReadEntry): string | null {
    const { from, bytesMax, filesMax, place } = this.options;
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name.startsWith(WHITEOUT)) return this.hide(path, name);
    if (type !== 'File' && type !== 'OldFile' && type !== 'ContiguousFile')
      throw new SourceError(`${from} holds ${JSON.stringify(path)}, which is a ${type}; expected files and folders only`);
    this.own.add(path);
    if (isCode(path)) return null;
    const target = place();
    this.bytes += size;
    this.unpacked.set(path, { place: target, bytes: size });
    if (this.bytes > bytesMax) throw new SourceError(`${from} unpacks to more than ${bytesMax} bytes; allow more with --bytes-max`);
    if (this.unpacked.size > filesMax) throw new SourceError(`${from} has more than ${filesMax} files`);
    return target;
  }

  private hide(path: string, name: string): null {
    const folder = path.slice(0, path.length - name.length);
    const gone = name === OPAQUE ? folder : `${folder}${name.slice(WHITEOUT.length)}`;
    for (const other of [...this.unpacked.keys()]) {
      const isGone = name === OPAQUE ? other.startsWith(folder) : other === gone || other.startsWith(`${gone}/`);
      if (isGone && !this.own.has(other)) this.unpacked.delete(other);
    }
    return null;
  }

  /** Of files whose end did not come. */
  async close(): Promise<void> {
    await Promise.all([...this.open].map((file) => file.close()));
  }

  /** Takes all of the entry whatever happens: an entry that is not read to its end holds the archive up. */
  private async write(entry: ReadEntry, target: string): Promise<void> {
    const file = await open(target, 'wx').catch((error: Error) => this.fail(target, error));
    if (file !== null) this.open.add(file);
    for await (const part of entry) {
      if (file !== null && this.failure === null) await writeAll(file, part).catch((error: Error) => this.fail(target, error));
    }
    if (file === null) return;
    this.open.delete(file);
    await file.close();
  }

  private fail(target: string, error: NodeJS.ErrnoException): null {
    this.failure ??= new SourceError(`${target} cannot be written (${error.code ?? error.message})`);
    return null;
  }
}
