import { SourceError } from './source-error';

const PATH_CHARS_MAX = 1024;
const DEPTH_MAX = 8;
/** No control characters, no backslash: neither a file system nor a log takes them for something else. */
const PART = /^[^\x00-\x1f\x7f\\]{1,255}$/;
/** Kinds of files that run code when they are loaded by what made them. Nothing here needs them. */
const CODE = /\.(py|pyc|pkl|pickle|pt|pth|ckpt|joblib|so|sh)$/i;

/** Why a path of a source's list cannot be a file's below one folder; null: it can. */
export function pathProblem(path: string): string | null {
  if (path === '' || path.length > PATH_CHARS_MAX) return `has ${path.length} characters, expected 1 to ${PATH_CHARS_MAX}`;
  if (path.startsWith('/')) return 'is absolute';
  const parts = path.split('/');
  if (parts.length > DEPTH_MAX) return `is more than ${DEPTH_MAX} folders deep`;
  if (parts.some((part) => part === '..' || part === '.')) return 'leads out of the model or through itself';
  return parts.every((part) => PART.test(part)) ? null : 'has an empty part or a character that a file name may not have';
}

/** Throws a `SourceError` for a path that is not that of a file below one folder. */
export function checkPath(path: string, from: string): string {
  const problem = pathProblem(path);
  if (problem === null) return path;
  throw new SourceError(`${from} lists ${JSON.stringify(path.slice(0, PATH_CHARS_MAX))}, a path that ${problem}; nothing of it is fetched`);
}

export function isCode(path: string): boolean {
  return CODE.test(path);
}
