import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

/** Where `npm run build` puts the page: beside the built API, or in `dist` of the checkout. */
const FOLDERS = [join(__dirname, '../../../../dashboard'), join(__dirname, '../../../../../dist/apps/dashboard')];
const INDEX = 'index.html';

export interface PageFile {
  body: Buffer;
  contentType: string;
  etag: string;
}

/** The built page, read once. */
export class PageFiles {
  private constructor(
    readonly index: PageFile,
    /** By name. The names change with the content. */
    readonly assets: ReadonlyMap<string, PageFile>,
  ) {}

  /** Null: the page was not built. */
  static read(): PageFiles | null {
    const folder = FOLDERS.find((each) => existsSync(join(each, INDEX)));
    if (folder === undefined) return null;
    const assets = readdirSync(join(folder, 'assets')).map((name) => [name, fileAt(join(folder, 'assets', name))] as const);
    return new PageFiles(fileAt(join(folder, INDEX)), new Map(assets));
  }
}

function fileAt(path: string): PageFile {
  const body = readFileSync(path);
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { body, contentType: TYPES[extname(path)] ?? 'application/octet-stream', etag };
}
