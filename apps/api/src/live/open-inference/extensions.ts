import type { Config } from '@app/config';

const ALWAYS = ['binary_tensor_data', 'schedule_policy', 'statistics', 'model_configuration', 'model_repository', 'classification'];

/** Those of Triton's protocol that this server has, by its names for them; `GET /v2` and its form in other protocols list them. */
export function extensionsOf({ sharedMemory }: Pick<Config['http'], 'sharedMemory'>): string[] {
  return sharedMemory ? [...ALWAYS, 'system_shared_memory'] : ALWAYS;
}
