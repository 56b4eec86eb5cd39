import type { Config } from '@app/config';
import { sha256OfFile, type CostKey } from '@app/models';
import { inspectRuntime } from '@app/native';
import { readCpuModel } from '@app/system';

/** Of what runs of a graph on so many threads cost on the CPUs of this machine. */
export async function cpuCostKey(modelPath: string, intraOpThreads: number, config: Config): Promise<CostKey> {
  return {
    modelSha256: await sha256OfFile(modelPath),
    provider: 'cpu',
    intraOpThreads,
    cpu: readCpuModel(),
    runtimeVersion: inspectRuntime(config.ortLibraryPath).version,
  };
}
