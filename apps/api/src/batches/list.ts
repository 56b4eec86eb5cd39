import type { Page } from '@app/batches';

/** OpenAI's list shape. */
export interface List<T> {
  object: 'list';
  data: T[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
}

export function toList<T extends { id: string }>(page: Page<T>): List<T> {
  const { data, hasMore } = page;
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore };
}
