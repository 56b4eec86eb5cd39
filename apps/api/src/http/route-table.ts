import type { FastifyInstance } from 'fastify';

/** Which methods a path takes, so that a wrong method is told from a wrong path (Fastify answers 404 to both). */
export class RouteTable {
  private readonly routes: { methods: string[]; path: RegExp }[] = [];

  /** Of the routes that are added from now on. */
  static of(fastify: FastifyInstance): RouteTable {
    const table = new RouteTable();
    fastify.addHook('onRoute', ({ method, url }) => {
      if (!url.includes('*')) table.routes.push({ methods: [method].flat(), path: pathPattern(url) });
    });
    return table;
  }

  methodsOf(path: string): string[] {
    return [...new Set(this.routes.filter((route) => route.path.test(path)).flatMap(({ methods }) => methods))].sort();
  }
}

/** Fastify's pattern (`/a/:b(^regex)::verb`) as a regular expression over the undecoded path. */
function pathPattern(url: string): RegExp {
  const segments = url.split('/').map((segment) => {
    const [, suffix = ''] = /^:[^:(]+(?:\([^)]*\))?(?:::(.+))?$/.exec(segment) ?? [null, null];
    if (!segment.startsWith(':')) return escape(segment.replaceAll('::', ':'));
    return suffix ? `[^/]+:${escape(suffix)}` : '[^/]+';
  });
  return new RegExp(`^${segments.join('/')}$`);
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
