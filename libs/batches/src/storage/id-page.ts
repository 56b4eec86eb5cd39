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

/** Reads one page; `read` answers null for what is gone or does not match, and no more are read than the page needs. */
export async function readPage<T>(ids: string[], page: PageRequest, read: (id: string) => Promise<T | null>): Promise<Page<T>> {
  const ordered = page.order === 'asc' ? ids : ids.toReversed();
  const { after } = page;
  const isBehind = (id: string) => after === null || (page.order === 'asc' ? id > after : id < after);
  const data: T[] = [];
  for (const id of ordered) {
    if (!isBehind(id)) continue;
    const value = await read(id);
    if (value === null) continue;
    if (data.length === page.limit) return { data, hasMore: true };
    data.push(value);
  }
  return { data, hasMore: false };
}
