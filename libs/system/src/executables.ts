import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs that can be the private Redis, in order of preference. */
export const REDIS_SERVERS = ['redis-server', 'valkey-server'] as const;
/** What to do when none of them is there. */
export const REDIS_REMEDY = 'install it with: sudo apt-get install -y --no-install-recommends redis-server (or set REDIS_URL)';

/** The first of `names` that lies in one of the folders of `searchPath` (the form of PATH); null when none does. */
export function findExecutable(names: readonly string[], searchPath: string): string | null {
  for (const name of names) {
    for (const folder of searchPath.split(delimiter).filter(Boolean)) {
      const path = join(folder, name);
      if (isExecutable(path)) return path;
    }
  }
  return null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
