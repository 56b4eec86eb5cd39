import { existsSync } from 'node:fs';
import type { Config } from '@app/config';
import type { WorkerModelPlan } from '@app/contracts';
import { hasFile, scanRepository, workerModelPlan, type FileManifest, type RepositoryEntry } from '@app/models';
import type { PlaceableModel } from './model-assignment';

export interface LaneModels {
  models: PlaceableModel[];
  /** All that was found, what cannot be served included. */
  entries: RepositoryEntry[];
  /** What cannot be served, and why; one sentence each. */
  warnings: string[];
}

/** Gives a set of files of a model version its number. */
export type NumberOf = (name: string, version: string, fingerprint: string) => number;

/** Every model version of the repository whose files can be served, as each lane's workers load it. */
export function laneModels(config: Pick<Config, 'modelsDir' | 'realtime' | 'batch'>, numberOf: NumberOf): LaneModels {
  if (!existsSync(config.modelsDir)) {
    return { models: [], entries: [], warnings: [`MODELS_DIR ${config.modelsDir} does not exist, so there is no model to serve`] };
  }
  const entries = scanRepository(config.modelsDir);
  const warnings = entries.length === 0 ? [`MODELS_DIR ${config.modelsDir} has no model to serve`] : [];
  const found: LaneModels = { models: [], entries, warnings };
  for (const { name, version, manifest, reason, fingerprint } of entries) {
    if (manifest === null) found.warnings.push(`model ${name} version ${version} cannot be served: ${reason}`);
    else if (hasFile(manifest))
      found.models.push(placeableModel(manifest, config, { revision: numberOf(name, version, fingerprint), fingerprint }));
  }
  return found;
}

export function placeableModel(
  manifest: FileManifest,
  { realtime, batch }: Pick<Config, 'realtime' | 'batch'>,
  files: Pick<WorkerModelPlan, 'revision' | 'fingerprint'>,
): PlaceableModel {
  const { name, version, tags, lanes } = manifest;
  const plans = {
    realtime: workerModelPlan(manifest, 'realtime', realtime, files),
    batch: workerModelPlan(manifest, 'batch', batch, files),
  };
  return { name, version, tags, lanes, plans };
}
