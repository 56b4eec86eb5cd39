import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { sha256OfFile } from './calibration';
import { externalDataOf } from './external-data';
import { filesOfVersion, fingerprintOfVersion } from './repository';

/**
 * SHA-256 over the contents and names of all files of a model version, `model.yaml` included, as 64 hexadecimal digits: equal on two
 * nodes when they have the same model. Null: the files are not those of `fingerprint`, or not any more. Reads every file; rejects
 * when one cannot be read.
 */
export async function digestOfVersion(modelsDir: string, name: string, version: string, fingerprint: string): Promise<string | null> {
  if (fingerprintOfVersion(modelsDir, name, version) !== fingerprint) return null;
  const hash = createHash('sha256');
  for (const file of filesOfVersion(modelsDir, name, version)) hash.update(`${file.name}\n${await sha256OfFile(file.path)}\n`);
  return fingerprintOfVersion(modelsDir, name, version) === fingerprint ? hash.digest('hex') : null;
}

/** SHA-256 of a graph and of the files beside it that hold weights. Reads all of them; throws a `ModelFileError` for what is no graph. */
export async function sha256OfWeights(graphPath: string): Promise<string> {
  const hash = createHash('sha256');
  for (const path of [graphPath, ...externalDataOf(graphPath).map((location) => join(dirname(graphPath), location))])
    hash.update(`${await sha256OfFile(path)}\n`);
  return hash.digest('hex');
}
