import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { WorkerModelPlan } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { sha256OfFile } from './calibration';
import { externalDataOf } from './external-data';
import { filesOfVersion, fingerprintOfVersion } from './repository';

/**
 * SHA-256 over the contents and names of all files of a model version, `model.yaml` included, as 64 hexadecimal digits: equal on two
 * nodes when they have the same model. Null: the files are not those of `fingerprint`, or not any more. Reads every file; rejects
 * when one cannot be read.
 */
async function digestOfVersion(modelsDir: string, name: string, version: string, fingerprint: string): Promise<string | null> {
  if (fingerprintOfVersion(modelsDir, name, version) !== fingerprint) return null;
  const hash = createHash('sha256');
  for (const file of filesOfVersion(modelsDir, name, version)) hash.update(`${file.name}\n${await sha256OfFile(file.path)}\n`);
  return fingerprintOfVersion(modelsDir, name, version) === fingerprint ? hash.digest('hex') : null;
}

/** Digests that are kept; one has 100 bytes. */
const DIGESTS_MAX = 10_000;

/** Which files the models of a node are. A digest is read once for each set of files, while they are there. */
export class ContentDigests {
  /** By fingerprint; null: the files changed before they were read, or cannot be read. */
  private readonly digests = new Map<string, Promise<string | null>>();

  constructor(
    private readonly modelsDir: string,
    private readonly log: Logger,
  ) {}

  /** The files of this version are those of the fingerprint. */
  areThere({ name, version, fingerprint }: Pick<WorkerModelPlan, 'name' | 'version' | 'fingerprint'>): boolean {
    return fingerprintOfVersion(this.modelsDir, name, version) === fingerprint;
  }

  /** As `digestOfVersion`; null as well where a file cannot be read. Never rejects. */
  of({ name, version, fingerprint }: Pick<WorkerModelPlan, 'name' | 'version' | 'fingerprint'>): Promise<string | null> {
    const known = this.digests.get(fingerprint);
    if (known !== undefined) return known;
    const digest = digestOfVersion(this.modelsDir, name, version, fingerprint).catch((error: Error) => {
      this.log.warn({ model: name, version, err: error }, 'the files of a model cannot be read');
      return null;
    });
    if (this.digests.size >= DIGESTS_MAX) this.digests.delete(this.digests.keys().next().value ?? '');
    this.digests.set(fingerprint, digest);
    void digest.then((value) => value === null && this.digests.delete(fingerprint));
    return digest;
  }
}

/** SHA-256 of a graph and of the files beside it that hold weights. Reads all of them; throws a `ModelFileError` for what is no graph. */
export async function sha256OfWeights(graphPath: string): Promise<string> {
  const hash = createHash('sha256');
  for (const path of [graphPath, ...externalDataOf(graphPath).map((location) => join(dirname(graphPath), location))])
    hash.update(`${await sha256OfFile(path)}\n`);
  return hash.digest('hex');
}
