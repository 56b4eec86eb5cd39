import type { RouteGenericInterface } from 'fastify';

/** Decoded path parameters of live routes; one whose body names the model has none. */
export interface ModelPath extends RouteGenericInterface {
  Params: { model?: string; version?: string };
}
