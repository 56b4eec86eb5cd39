import { loadConfig } from '@app/config';
import { inspectRuntime } from '@app/native';
import { readGpus } from '@app/system';

/** As Automake's test drivers have it: what was asked for cannot be tried here. */
const SKIPPED = 77;
const PROVIDER = 'CUDAExecutionProvider';

/** What `make gpu-check` needs before its tests can run. Exit code 77 without a GPU, 1 without a library for it. */
function main(): number {
  const { searchPath, ortLibraryPath } = loadConfig();
  const { devices, driverVersion, problem, mpsRuns } = readGpus(searchPath);
  if (problem !== null) {
    process.stderr.write(`gpu-check: skipped, nothing was checked: ${problem}\n`);
    return SKIPPED;
  }
  for (const { index, name, uuid, instances } of devices)
    process.stdout.write(`GPU ${index}: ${name} (${uuid}), MIG instances: ${instances.length}\n`);
  process.stdout.write(`driver ${driverVersion ?? 'unknown'}, MPS ${mpsRuns ? 'runs' : 'does not run'}\n`);
  const { path, version, providers } = inspectRuntime(ortLibraryPath);
  process.stdout.write(`ONNX Runtime ${version} at ${path}: ${providers.join(', ')}\n`);
  if (providers.includes(PROVIDER)) return 0;
  process.stderr.write(`gpu-check: this library offers no ${PROVIDER}; set ORT_LIBRARY to the libonnxruntime.so of a GPU build\n`);
  return 1;
}

process.exitCode = main();
