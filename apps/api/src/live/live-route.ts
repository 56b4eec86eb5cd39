import { applyDecorators, Post } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { Documented, type Documentation } from '../docs/documented';
import type { LiveEndpoint } from './live-call';

/** What any live request may be answered with besides the answer. */
const ERRORS = [400, 404, 413, 415, 422, 429, 503, 504] as const;

/** Puts a handler on the live path: POST at `paths` of its controller, for `LiveService.answer`. */
export function LiveRoute(
  endpoint: LiveEndpoint,
  paths: string[],
  documentation: Omit<Documentation, 'tag' | 'query' | 'errors'>,
): MethodDecorator {
  return applyDecorators(Post(paths), RouteConfig({ live: endpoint }), Documented({ ...documentation, tag: 'infer', errors: [...ERRORS] }));
}
