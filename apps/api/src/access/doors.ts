/**
 * Who may come in at a route. `open`: everybody. `operator`: operators, who may show the cookie of the login page instead of a key.
 * `page`: every caller, and that cookie too. `caller`: whoever shows a key.
 */
export type Door = 'open' | 'operator' | 'page' | 'caller';

const OPEN: ReadonlySet<string> = new Set(['/v2/health/live', '/v2/health/ready', '/login', '/logout']);
const OPERATORS = /^\/(?:metrics|dashboard|admin|fleet|v3|v2\/repository\/models)(?:\/|$)/;
const PAGES = /^\/docs(?:-json|\/|$)/;

/** `route`: the pattern that matched, not what the caller wrote; undefined: none. Whatever is not named here needs a key. */
export function doorOf(route: string | undefined): Door {
  if (route === undefined) return 'caller';
  if (OPEN.has(route)) return 'open';
  if (OPERATORS.test(route)) return 'operator';
  return PAGES.test(route) ? 'page' : 'caller';
}
