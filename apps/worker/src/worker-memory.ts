import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { WorkerMemory, WorkerPlan } from '@app/contracts';

/** What the worker of this process takes and may take. */
export function workerMemory(plan: Pick<WorkerPlan, 'models' | 'memoryBytes'>): WorkerMemory {
  const paths = new Set(plan.models.map(({ modelPath }) => modelPath));
  return {
    resident: anonymousBytes(readFileSync('/proc/self/status', 'utf8')),
    modelFiles: [...paths].reduce((sum, path) => sum + modelFileBytes(path), 0),
    limit: plan.memoryBytes,
  };
}

/** Out of `/proc/<pid>/status`. */
export function anonymousBytes(status: string): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** The file and what exporters put beside it: `model.onnx_data`, `model.onnx.data`. A model whose file is gone counts nothing. */
export function modelFileBytes(modelPath: string): number {
  const folder = dirname(modelPath);
  const name = basename(modelPath);
  try {
    const files = readdirSync(folder).filter((file) => file === name || (file.startsWith(name) && file.endsWith('data')));
    return files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  } catch {
    return 0;
  }
}
