import { useEffect, useState } from 'preact/hooks';
import { after, CONNECTING, type LiveMessage, type LiveState } from './live-state';

const EVENTS = '/dashboard/events';
/** Between tries where the server refuses; a connection that breaks is opened again by the browser itself. */
const RETRY_MS = 3_000;

/** What the node tells of itself, as long as the page is open. */
export function useLive(): LiveState {
  const [state, setState] = useState<LiveState>(CONNECTING);
  useEffect(() => follow((message) => setState((before) => after(before, message, Date.now()))), []);
  return state;
}

/** The time, each second. */
export function useNowMs(): number {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return nowMs;
}

function follow(tell: (message: LiveMessage) => void): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const connect = (): void => {
    const opened = new EventSource(EVENTS);
    source = opened;
    opened.onopen = () => tell({ type: 'connected' });
    for (const type of ['snapshot', 'delta', 'away'] as const)
      opened.addEventListener(type, ({ data }: MessageEvent<string>) => tell({ type, data: JSON.parse(data) } as LiveMessage));
    opened.onerror = () => {
      if (opened.readyState !== EventSource.CLOSED) return tell({ type: 'lost', problem: 'The connection broke; trying again' });
      void refusal().then((problem) => tell({ type: 'lost', problem }));
      timer = setTimeout(connect, RETRY_MS);
    };
  };
  connect();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}

/** An EventSource does not say why it was refused. */
async function refusal(): Promise<string> {
  try {
    const response = await fetch('/dashboard/view', { cache: 'no-store' });
    if (response.status === 401 || response.status === 403) location.assign('/login');
    if (response.ok) return 'The node has no room for another open dashboard; close one. Trying again';
    return (await messageOf(response)) ?? `The node answers with status ${response.status}; trying again`;
  } catch {
    return 'The node does not answer; trying again';
  }
}

/** Of an error's body; null: it has none. */
export async function messageOf(response: Response): Promise<string | null> {
  const body = (await response.json().catch(() => null)) as { error?: string | { message?: string } } | null;
  const error = body?.error;
  return (typeof error === 'string' ? error : error?.message) ?? null;
}
