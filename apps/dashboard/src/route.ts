import { useEffect, useState } from 'preact/hooks';

const VIEWS = ['now', 'cpus', 'models', 'batches', 'events', 'fleet'] as const;
export type View = (typeof VIEWS)[number];

/** In the fragment, so that a reload keeps it: `#/batches/batch_1`. */
export interface Route {
  view: View;
  /** What is shown in the view, as a batch's id; null: the view itself. */
  item: string | null;
}

function routeOf(hash: string): Route {
  const [view = '', item = ''] = hash.replace(/^#\/?/, '').split('/');
  const known = VIEWS.find((each) => each === view);
  return known === undefined ? { view: 'now', item: null } : { view: known, item: item === '' ? null : decoded(item) };
}

export const hrefOf = (view: View, item: string | null = null): string => `#/${view}${item === null ? '' : `/${encodeURIComponent(item)}`}`;

export function useRoute(): Route {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const follow = (): void => setRoute(routeOf(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return route;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
