import type { InterleaveError } from '@app/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { answerError, asInterleaveError } from '../http/error-answer';
import type { Access } from './access';
import { ANONYMOUS, notAnOperator, type Caller } from './caller';
import { doorOf, type Door } from './doors';
import type { Sessions } from './sessions';

/** Finds out who calls, before anything of the body is read, and before other hooks that look at requests but those against browsers. */
export function guardAccess(fastify: FastifyInstance, access: Access, sessions: Sessions): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const door = doorOf(request.routeOptions.url);
    if (door === 'open') return done();
    const admit = (caller: Caller): void => {
      request.caller = caller;
      done();
    };
    // Not by `done`: some routes have error handlers of their own.
    const refuse = (error: unknown): void => turnAway(asInterleaveError(error), request, reply, door);
    try {
      const caller = whoEnters(request, access, sessions);
      if (caller instanceof Promise) caller.then(admit, refuse);
      else admit(caller);
    } catch (error) {
      refuse(error);
    }
  });
}

/** Who may come in with this request. Throws, or rejects with, as `Access.callerOf` does, or that the caller is no operator. */
export function whoEnters(request: FastifyRequest, access: Access, sessions: Sessions): Caller | Promise<Caller> {
  const door = doorOf(request.routeOptions.url);
  const caller = whoCalls(request, door, access, sessions);
  const entering = (who: Caller): Caller => {
    if (door === 'operator' && !who.isOperator) throw notAnOperator();
    return who;
  };
  return caller instanceof Promise ? caller.then(entering) : entering(caller);
}

function whoCalls({ headers }: FastifyRequest, door: Door, access: Access, sessions: Sessions): Caller | Promise<Caller> {
  if (!access.isRequired) return ANONYMOUS;
  const { authorization, 'x-api-key': given, cookie } = headers;
  const apiKey = typeof given === 'string' ? given : undefined;
  const takesCookie = door !== 'caller' && authorization === undefined && apiKey === undefined;
  const keyDigest = takesCookie ? sessions.keyOf(cookie) : null;
  return keyDigest === null ? access.callerOf({ authorization, apiKey }) : access.callerOfDigest(keyDigest);
}

/** A browser that wants a page is shown where to log in. */
function turnAway(error: InterleaveError, request: FastifyRequest, reply: FastifyReply, door: Door): void {
  if (error.code !== 'unauthorized') return answerError(error, request, reply);
  const isBrowser = request.method === 'GET' && request.headers.accept?.includes('text/html') === true;
  if (door !== 'caller' && isBrowser) return void reply.header('cache-control', 'no-store').redirect('/login', 303);
  void reply.header('www-authenticate', 'Bearer realm="interleave"');
  answerError(error, request, reply);
}
