import { rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isModelName, versionsIn } from '@app/models';
import { removedPath, sweepIncoming } from './incoming';
import { SourceError } from './source-error';

export interface RemoveRequest {
  name: string;
  version?: string | undefined;
  /** The whole model, with its `model.yaml`. */
  all: boolean;
}

/**
 * Takes a version, or a whole model, out of the repository in one step, then deletes it. The last version of a model goes only with
 * the model. Resolves with the versions that are gone; rejects with a `SourceError`.
 */
export async function removeModel({ name, version, all }: RemoveRequest, modelsDir: string): Promise<string[]> {
  const folder = join(modelsDir, name);
  const { versions, unversioned } = isModelName(name) ? versionsIn(folder) : { versions: [], unversioned: false };
  const present = [...new Set([...(unversioned ? ['1'] : []), ...versions])];
  if (present.length === 0) throw new SourceError(`${modelsDir} has no model ${JSON.stringify(name)}; see: interleave models`);
  if (all && version !== undefined) throw new SourceError('expected a version or --all but received both');
  await sweepIncoming(modelsDir);
  if (all) {
    await moveAway(folder, modelsDir);
    if (name.includes('/')) await rmdir(dirname(folder)).catch(() => undefined); // others are in it
    return present;
  }
  checkVersion({ name, version, present, unversioned });
  await moveAway(join(folder, version as string), modelsDir);
  return [version as string];
}

function checkVersion({
  name,
  version,
  present,
  unversioned,
}: {
  name: string;
  version?: string | undefined;
  present: string[];
  unversioned: boolean;
}): void {
  const whole = `interleave models remove ${name} --all`;
  if (version === undefined)
    throw new SourceError(`${name} has the versions ${present.join(', ')}; name one, or remove the model: ${whole}`);
  if (!present.includes(version)) throw new SourceError(`${name} has no version ${version}; it has ${present.join(', ')}`);
  if (present.length === 1) throw new SourceError(`${version} is the only version of ${name}; remove the model: ${whole}`);
  if (unversioned && version === '1')
    throw new SourceError(
      `version 1 of ${name} is an export without a folder of its own; move its files away by hand, or remove the model: ${whole}`,
    );
}

/** In one step; what is deleted afterwards is no version any more. */
async function moveAway(path: string, modelsDir: string): Promise<void> {
  const away = removedPath(modelsDir);
  await rename(path, away).catch((error: NodeJS.ErrnoException) => {
    throw new SourceError(`${path} cannot be moved (${error.code}); it is as before`);
  });
  await rm(away, { recursive: true, force: true });
}
