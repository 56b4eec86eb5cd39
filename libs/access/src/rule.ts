import { rmSync } from 'node:fs';
import { isLoopbackHost, type Config } from '@app/config';
import { keyFilePath, keysSeenPath, readKeyFile } from './key-file';
import { isExpired } from './key-record';

type AccessConfig = Pick<Config, 'access' | 'host' | 'publishedHost' | 'dataDir' | 'runDir'>;

/** Nobody could come in, or everybody; the message says what to do. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
}

/**
 * Whether callers must show who they are: once there is a key file, even one without keys, so that revoking the last key does
 * not let everybody in; with an issuer of tokens; and where other machines can reach the node.
 */
export function asksWho({ access, host, publishedHost }: Omit<AccessConfig, 'dataDir' | 'runDir'>, hasKeyFile: boolean): boolean {
  if (access.mode === 'open') return false;
  return access.mode === 'required' || access.oidc !== undefined || hasKeyFile || !isLoopbackHost(publishedHost ?? host);
}

/** Before a node starts, and not when a process of it starts anew: throws an `AccessError` where callers would be asked for keys and there is none, a `KeyFileError` for a damaged file. */
export function checkAccess(config: AccessConfig): void {
  const path = keyFilePath(config.dataDir);
  const keys = config.access.mode === 'open' ? null : readKeyFile(path);
  // Keys that were deleted before the start are not missed.
  if (keys === null) rmSync(keysSeenPath(config.runDir), { force: true });
  if (!asksWho(config, keys !== null) || config.access.oidc !== undefined) return;
  if (keys?.some((key) => !isExpired(key)) === true) return;
  const host = config.publishedHost ?? config.host;
  const why = isLoopbackHost(host) ? 'Callers are asked for keys' : `HOST ${host} can be reached from other machines`;
  throw new AccessError(
    `${why}: expected a key in ${path} but there is none that is valid. ` +
      'Make one with `node bin/interleave.js keys add --tenant default --operator` and the same DATA_DIR, ' +
      'or let everybody in with ACCESS=open (docs/operating.md, "Keys")',
  );
}
