import { existsSync } from 'node:fs';
import type { Config } from '@app/config';
import type { Lane, WorkerModelPlan } from '@app/contracts';
import { scanRepository, workerModelPlan } from '@app/models';
import type { Logger } from '@app/telemetry';

/** What each lane's workers load: every model version of the repository whose files can be served. */
export function laneModels(config: Pick<Config, 'modelsDir' | 'realtime' | 'batch'>, log: Logger): Record<Lane, WorkerModelPlan[]> {
  if (!existsSync(config.modelsDir)) {
    log.warn({ modelsDir: config.modelsDir }, `MODELS_DIR ${config.modelsDir} does not exist, so there is no model to serve`);
    return { realtime: [], batch: [] };
  }
  const manifests = scanRepository(config.modelsDir).flatMap(({ name, version, manifest, reason }) => {
    if (manifest === null) log.warn({ model: name, version, reason }, `model ${name} version ${version} cannot be served: ${reason}`);
    return manifest === null ? [] : [manifest];
  });
  return {
    realtime: manifests.map((manifest) => workerModelPlan(manifest, config.realtime)),
    batch: manifests.map((manifest) => workerModelPlan(manifest, config.batch)),
  };
}
