import { fingerprintOfVersion } from '@app/models';

/** Whether a model version has the files with this fingerprint. What cannot be looked at is not what it was. */
export function hasFingerprint(modelsDir: string, name: string, version: string, fingerprint: string): boolean {
  try {
    return fingerprintOfVersion(modelsDir, name, version) === fingerprint;
  } catch {
    return false;
  }
}
