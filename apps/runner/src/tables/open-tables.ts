import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '@app/config';
import { uploadLimits } from '@app/batches';
import type { TableSettings } from './table-settings';

const scratchDir = ({ dataDir }: Pick<Config, 'dataDir'>): string => join(dataDir, 'scratch');

export function tableSettings(config: Config, childArgs: readonly string[]): TableSettings {
  const { inputRoots, inputBuckets } = config.batch;
  return {
    childArgs,
    scratchDir: scratchDir(config),
    inputRoots,
    inputBuckets,
    bucketEndpoint: config.inputEndpoint,
    limits: uploadLimits(config.batch),
  };
}

/** Removes what a runner before left there. Only while no other runner has the data directory. */
export async function emptyScratch(config: Pick<Config, 'dataDir'>): Promise<void> {
  await rm(scratchDir(config), { recursive: true, force: true });
  await mkdir(scratchDir(config), { recursive: true, mode: 0o700 });
}
