import { useEffect, useRef, useState } from 'preact/hooks';
import { messageOf } from './stream';

/** What the node answered, or why it did not. `data` stays while a newer answer is on its way or fails. */
export interface Polled<T> {
  data: T | null;
  problem: string | null;
  /** Asks now. */
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
      const answer = await ask<T>(url).then(
        (data) => ({ data, problem: null }),
        (error: Error) => ({ data: null, problem: error.message }),
      );
      if (!isOver) setState((before) => ({ url, data: answer.data ?? (before.url === url ? before.data : null), problem: answer.problem }));
    };
    reload.current = () => void read();
    void read();
    const timer = setInterval(() => document.hidden || void read(), everyMs);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [url, everyMs]);
  const { data, problem } = state.url === url ? state : { data: null, problem: null };
  return { data, problem, reload: () => reload.current() };
}
