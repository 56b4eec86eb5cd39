import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkPath } from './safe-path';
import type { ModelSource, SourceFile } from './model-source';
import { SourceError } from './source-error';

const DEPTH_MAX = 8;

/**
 * A folder of this machine. Its revision is of names, sizes and times of change. Rejects with a `SourceError` for what is no file or
 * folder, and for links that lead out of it. Names that begin with a dot are passed over.
 */
export async function openFolder(folder: string, filesMax: number): Promise<ModelSource> {
  const root = await realpath(folder).catch((error: NodeJS.ErrnoException) => {
    throw new SourceError(`${folder} cannot be read (${error.code}); expected a folder with a model`);
  });
  const files = new Map<string, ListedFile>();
  await list(root, '', files, { filesMax, depth: 0 });
  const hash = createHash('sha256');
  for (const { path, bytes, changed } of files.values()) hash.update(`${path}\0${bytes}\0${changed}\n`);
  return {
    uri: pathToFileURL(folder).href,
    revision: `sha256:${hash.digest('hex')}`,
    files: [...files.values()].map(({ path, bytes }) => ({ path, bytes })),
    open: async ({ path }, start) => {
      const listed = files.get(path) as ListedFile;
      return unchanged(join(root, path), listed, start);
    },
  };
}

interface ListedFile extends SourceFile {
  /** Nanoseconds. */
  changed: bigint;
}

async function list(root: string, below: string, files: Map<string, ListedFile>, { filesMax, depth }: { filesMax: number; depth: number }) {
  if (depth > DEPTH_MAX) throw new SourceError(`${root} is more than ${DEPTH_MAX} folders deep; expected the folder of one model`);
  for (const name of (await readdir(join(root, below))).sort()) {
    if (name.startsWith('.')) continue;
    const path = checkPath(below === '' ? name : `${below}/${name}`, root);
    const real = await realpath(join(root, path)).catch(() => null);
    if (real === null || !isWithin(root, real))
      throw new SourceError(
        `${join(root, path)} is a link that leads out of the folder or nowhere; copy the folder with "cp -rL" and add the copy`,
      );
    const { size, ctimeNs, isDirectory, isFile } = await facts(real);
    if (isDirectory) await list(root, path, files, { filesMax, depth: depth + 1 });
    else if (isFile) files.set(path, { path, bytes: size, changed: ctimeNs });
    else throw new SourceError(`${join(root, path)} is neither a file nor a folder; remove it from the folder of the model`);
    if (files.size > filesMax) throw new SourceError(`${root} has more than ${filesMax} files; expected the folder of one model`);
  }
}

async function facts(path: string): Promise<{ size: number; ctimeNs: bigint; isDirectory: boolean; isFile: boolean }> {
  const stats = await stat(path, { bigint: true });
  return { size: Number(stats.size), ctimeNs: stats.ctimeNs, isDirectory: stats.isDirectory(), isFile: stats.isFile() };
}

const isWithin = (root: string, path: string): boolean => !relative(root, path).split(sep).includes('..');

/** A file that changes while it is copied would be neither the old one nor the new one. */
async function* unchanged(path: string, listed: ListedFile, start: number): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const part of createReadStream(path, { start, highWaterMark: 1024 * 1024 })) yield part as Buffer;
  } catch (error) {
    throw new SourceError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const { size, ctimeNs } = await facts(path).catch(() => ({ size: -1, ctimeNs: 0n }));
  if (size !== listed.bytes || ctimeNs !== listed.changed)
    throw new SourceError(`${path} changed while it was copied; add the model again`);
}
