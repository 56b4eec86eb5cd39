import { existsSync } from 'node:fs';
import type { Config } from '@app/config';
import { scanRepository, workerModelPlan } from '@app/models';
import type { PlaceableModel } from './model-assignment';

export interface LaneModels {
  models: PlaceableModel[];
  /** What cannot be served, and why; one sentence each. */
  warnings: string[];
}

/** Every model version of the repository whose files can be served, as each lane's workers load it. */
export function laneModels(config: Pick<Config, 'modelsDir' | 'realtime' | 'batch'>): LaneModels {
  if (!existsSync(config.modelsDir)) {
    return { models: [], warnings: [`MODELS_DIR ${config.modelsDir} does not exist, so there is no model to serve`] };
  }
  const found: LaneModels = { models: [], warnings: [] };
  for (const { name, version, manifest, reason, fingerprint } of scanRepository(config.modelsDir)) {
    if (manifest === null) {
      found.warnings.push(`model ${name} version ${version} cannot be served: ${reason}`);
      continue;
    }
    const { tags, lanes } = manifest;
    const files = { revision: found.models.length + 1, fingerprint };
    const plans = { realtime: workerModelPlan(manifest, config.realtime, files), batch: workerModelPlan(manifest, config.batch, files) };
    found.models.push({ name, version, tags, lanes, plans });
  }
  return found;
}
