import { readFileSync } from 'node:fs';
import type { WorkerMemory, WorkerPlan } from '@app/contracts';
import { modelFileBytes } from '@app/models';

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
