import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Placement, PreemptionProof } from '@app/contracts';
import { provePreemption } from '@app/native';
import type { NodePlan } from './placement/plan-node';
import { isRunning } from './supervision/proc-fs';
import type { PidFiles } from './supervision/pid-files';

/**
 * Whether batch executors give way to live ones here. Measured on a CPU that both lanes of the plan use. While workers of an
 * earlier scheduler run, what was measured before their start holds: their load would be measured now, and another
 * placement would replace them.
 */
export async function preemptionOf({ placement, topology }: NodePlan, runDir: string, pidFiles: PidFiles): Promise<PreemptionProof> {
  const path = join(runDir, 'preemption.json');
  const kept = workersRun(placement, pidFiles) ? read(path) : null;
  if (kept !== null) return kept;
  const proof = await provePreemption({ cpu: sharedCpu(placement) ?? topology.effective.at(-1) ?? 0 });
  writeFileSync(`${path}.tmp`, JSON.stringify(proof), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
  return proof;
}

/** The last one: low numbers get most of a machine's interrupts. Null when no CPU has executors of both lanes. */
function sharedCpu({ workers }: Placement): number | null {
  const cpusOf = (lane: string): number[] => workers.filter((worker) => worker.lane === lane).flatMap(({ cpus }) => cpus);
  const batch = new Set(cpusOf('batch'));
  return cpusOf('realtime').filter((cpu) => batch.has(cpu)).at(-1) ?? null;
}

function workersRun({ workers }: Placement, pidFiles: PidFiles): boolean {
  return workers.some(({ id }) => {
    const record = pidFiles.read(id);
    return record !== null && isRunning(record);
  });
}

function read(path: string): PreemptionProof | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as PreemptionProof;
  } catch {
    return null;
  }
}
