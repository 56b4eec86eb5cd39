import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface LockedPackage {
  optionalDependencies?: Record<string, string>;
}

/**
 * npm leaves optional packages of other platforms out of the lock file when the registry in use does not have them, and
 * then `npm ci` refuses the lock file everywhere. Such packages need an entry (version, os, cpu) all the same.
 */
describe('package-lock.json', () => {
  it('has an entry for every optional dependency of every platform, as npm ci demands', () => {
    const { packages } = JSON.parse(readFileSync(join(__dirname, '..', 'package-lock.json'), 'utf8')) as {
      packages: Record<string, LockedPackage>;
    };
    const missing = Object.entries(packages).flatMap(([folder, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !candidates(folder, name).some((path) => path in packages)),
    );
    expect(missing).toEqual([]);
  });
});

/** Where Node looks for `name` from a package in `folder`, nearest first. */
function candidates(folder: string, name: string): string[] {
  const parents =
    folder === ''
      ? []
      : folder.split('/node_modules/').map((_, index, parts) => `${parts.slice(0, parts.length - index).join('/node_modules/')}/`);
  return [...parents, ''].map((parent) => `${parent}node_modules/${name}`);
}
