import { useEffect, useRef, useState } from 'preact/hooks';
import { Poll } from './poll';
import { messageOf } from './stream';

/** A read that takes longer is given up: the next one waits for it. */
const READ_MS_MAX = 30_000;

/** What the node answered, or why it did not. `data` stays while a newer answer is on its way or fails. */
export interface Polled<T> {
  data: T | null;
  problem: string | null;
  /** Asks now, or as soon as the answer to the last question is here. */
  reload: () => void;
}

/** Throws with the node's own words, which say what to do. */
export async function ask<T>(url: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(url, { cache: 'no-store', ...init });
  if (response.status === 401) location.assign('/login');
  if (!response.ok) throw new Error((await messageOf(response)) ?? `the node answers with status ${response.status}`);
  return (await response.json()) as T;
}

/** Asks again and again while the part of the page is shown and the page is looked at; a null URL asks nothing. */
export function usePolled<T>(url: string | null, everyMs: number): Polled<T> {
  const [state, setState] = useState<{ url: string | null; data: T | null; problem: string | null }>({ url, data: null, problem: null });
  const reload = useRef<() => void>(() => undefined);
  useEffect(() => {
    if (url === null) return;
    let isOver = false;
    const read = async (): Promise<void> => {
      const answer = await ask<T>(url, { signal: AbortSignal.timeout(READ_MS_MAX) }).then(
        (data) => ({ data, problem: null }),
        (error: Error) => ({ data: null, problem: problemOf(error) }),
      );
      if (!isOver) setState((before) => ({ url, data: answer.data ?? (before.url === url ? before.data : null), problem: answer.problem }));
    };
    const poll = new Poll(read, everyMs, () => !document.hidden);
    reload.current = () => poll.reload();
    return () => {
      isOver = true;
      poll.stop();
    };
  }, [url, everyMs]);
  const { data, problem } = state.url === url ? state : { data: null, problem: null };
  return { data, problem, reload: () => reload.current() };
}

const problemOf = ({ name, message }: Error): string =>
  name === 'TimeoutError' ? `the node has not answered for ${READ_MS_MAX / 1_000} s; asking again` : message;
