import type { Config } from '@app/config';
import type { Lane, WorkerModelPlan } from '@app/contracts';
import type { Logger } from '@app/telemetry';

/** What each lane's workers load: every model version of the repository. */
export async function laneModels(_config: Config, _log: Logger): Promise<Record<Lane, WorkerModelPlan[]>> {
  return { realtime: [], batch: [] };
}
