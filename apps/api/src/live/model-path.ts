import type { RouteGenericInterface } from 'fastify';

/** Decoded path parameters of routes about one model. */
export interface ModelPath extends RouteGenericInterface {
  Params: { model: string; version?: string };
}
