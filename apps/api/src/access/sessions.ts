import { randomBytes } from 'node:crypto';
import { digestOf } from '@app/access';
import fastifyCookie from '@fastify/cookie';
import { LRUCache } from 'lru-cache';

const COOKIE = 'interleave_session';
const SESSIONS_MAX = 1024;
const LIFE_SECONDS = 8 * 3600;
const ID_BYTES = 32;

/** Who is logged in at the pages of this process, by a cookie. Ends with the process. */
export class Sessions {
  /** Hash of the key by hash of the cookie: the key may be revoked, and neither is a secret that anybody could use. */
  private readonly keys = new LRUCache<string, string>({ max: SESSIONS_MAX, ttl: LIFE_SECONDS * 1000 });

  /** The `Set-Cookie` for whoever showed the key with this hash. `isSecure`: the browser came by TLS. */
  begin(keyDigest: string, isSecure: boolean): string {
    const id = randomBytes(ID_BYTES).toString('base64url');
    this.keys.set(digestOf(id), keyDigest);
    return cookie(id, LIFE_SECONDS, isSecure);
  }

  /** The hash of the key; null: there is no such session. `header`: `Cookie`. */
  keyOf(header: string | undefined): string | null {
    const id = idIn(header);
    return id === null ? null : (this.keys.get(digestOf(id)) ?? null);
  }

  /** Returns the `Set-Cookie` that makes the browser forget. */
  end(header: string | undefined, isSecure: boolean): string {
    const id = idIn(header);
    if (id !== null) this.keys.delete(digestOf(id));
    return cookie('', 0, isSecure);
  }
}

function cookie(value: string, maxAge: number, secure: boolean): string {
  return fastifyCookie.serialize(COOKIE, value, { httpOnly: true, sameSite: 'strict', path: '/', maxAge, secure });
}

function idIn(header: string | undefined): string | null {
  return header === undefined ? null : (fastifyCookie.parse(header)[COOKIE] ?? null);
}
