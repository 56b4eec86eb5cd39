import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PREEMPTION_VERDICTS, type Placement, type PreemptionProof } from '@app/contracts';
import { provePreemption } from '@app/native';
import type { NodePlan } from './placement/plan-node';
import type { PidFiles } from './supervision/pid-files';

/**
 * Whether batch executors give way to live ones here. Measured on a CPU that both lanes of the plan use. While processes of an
 * earlier scheduler run, what was measured before their start holds: their load would be measured now, and another
 * placement would replace them.
 */
export async function preemptionOf({ placement, topology }: NodePlan, runDir: string, pidFiles: PidFiles): Promise<PreemptionProof> {
  const path = join(runDir, 'preemption.json');
  const kept = pidFiles.anyRuns() ? read(path) : null;
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

function read(path: string): PreemptionProof | null {
  try {
    const kept = JSON.parse(readFileSync(path, 'utf8')) as PreemptionProof;
    return PREEMPTION_VERDICTS.includes(kept.verdict) ? kept : null;
  } catch {
    return null;
  }
}
