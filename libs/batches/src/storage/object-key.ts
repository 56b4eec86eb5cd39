import { TEMPORARY_SUFFIX } from './durable';

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$/;
const KEY_CHARS_MAX = 512;

/** Throws for what is no key: it could lead out of the store, or name what is not there yet. */
export function checkKey(key: string): void {
  const isKey = key.length <= KEY_CHARS_MAX && key.split('/').every((name) => SEGMENT.test(name) && !name.endsWith(TEMPORARY_SUFFIX));
  if (!isKey) throw new Error(`expected a key of the store but received ${JSON.stringify(key.slice(0, 80))}`);
}

/** Throws unless it is a key and a `/`. */
export function checkPrefix(prefix: string): void {
  if (!prefix.endsWith('/')) throw new Error(`expected a prefix that ends with / but received ${JSON.stringify(prefix.slice(0, 80))}`);
  checkKey(prefix.slice(0, -1));
}
