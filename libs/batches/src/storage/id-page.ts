import { RecordUnreadable } from './stored-json';

export interface PageRequest {
  limit: number;
  order: 'asc' | 'desc';
  /** The page starts behind this id, which need not exist any more; null: at the beginning. */
  after: string | null;
}

export interface Page<T> {
  data: T[];
  hasMore: boolean;
}

/** Read at once: a bucket takes as long for one as for many. */
const READS_MAX = 32;

/**
 * Reads one page; `read` answers null for what is gone or does not match. What another release or somebody else wrote is left
 * out, so that it does not take the others from everybody. Few more are read than the page needs.
 */
export async function readPage<T>(ids: string[], page: PageRequest, read: (id: string) => Promise<T | null>): Promise<Page<T>> {
  const ordered = page.order === 'asc' ? ids : ids.toReversed();
  const { after } = page;
  const isBehind = (id: string) => after === null || (page.order === 'asc' ? id > after : id < after);
  const data: T[] = [];
  const wanted = ordered.filter(isBehind);
  // One more than the page, to know whether there is one.
  for (let at = 0; at < wanted.length && data.length <= page.limit;) {
    const ids = wanted.slice(at, at + Math.min(READS_MAX, page.limit + 1 - data.length));
    at += ids.length;
    for (const value of await Promise.all(ids.map((id) => read(id).catch(nullIfUnreadable)))) if (value !== null) data.push(value);
  }
  return { data: data.slice(0, page.limit), hasMore: data.length > page.limit };
}

function nullIfUnreadable(error: unknown): null {
  if (error instanceof RecordUnreadable) return null;
  throw error;
}
