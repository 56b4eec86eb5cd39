import type { Config } from '@app/config';
import { hasFile, scanRepository, type FileManifest } from '@app/models';
import { CliError } from './cli-error';

/** Of a model that is measured on CPUs; version null: the newest. Throws a `CliError` that says what there is instead. */
export function findModelFiles(config: Config, name: string, version: string | null): { manifest: FileManifest; fingerprint: string } {
  const entries = scanRepository(config.modelsDir).filter((entry) => entry.name === name);
  const entry = version === null ? entries.at(-1) : entries.find((other) => other.version === version);
  if (entry === undefined)
    throw new CliError(`${config.modelsDir} has no model ${name}${version === null ? '' : ` version ${version}`}; set MODELS_DIR`);
  if (entry.manifest === null) throw new CliError(`model ${name} version ${entry.version} cannot be served: ${entry.reason ?? ''}`);
  const { manifest, fingerprint } = entry;
  if (!hasFile(manifest)) {
    const models = [...new Set(manifest.graph?.steps.map(({ model }) => model))].join(', ');
    throw new CliError(`${name} is a graph of other models; this command takes one model with a file of its own: ${models}`);
  }
  if (manifest.device !== 'cpu')
    throw new CliError(`${name} is served on GPUs (device in its model.yaml), and this command measures on CPUs only`);
  return { manifest, fingerprint };
}
