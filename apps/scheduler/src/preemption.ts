import { PREEMPTION_VERDICTS, type Placement, type PreemptionProof } from '@app/contracts';
import { provePreemption } from '@app/native';
import { KeptFact } from './kept-facts';
import type { NodePlan } from './placement/plan-node';
import type { PidFiles } from './supervision/pid-files';

/**
 * Whether batch executors give way to live ones here. Measured on a CPU that both lanes of the plan use. While processes of an
 * earlier scheduler run, what was measured before their start holds: their load would be measured now, and another
 * placement would replace them.
 */
export async function preemptionOf({ placement, topology }: NodePlan, runDir: string, pidFiles: PidFiles): Promise<PreemptionProof> {
  const fact = keptIn(runDir);
  const kept = pidFiles.anyRuns() ? fact.read() : null;
  if (kept !== null) return kept;
  const proof = await provePreemption({ cpu: sharedCpu(placement) ?? topology.effective.at(-1) ?? 0 });
  fact.write(proof);
  return proof;
}

/** What the latest scheduler of that run directory found; null: there was none. */
export const keptPreemption = (runDir: string): PreemptionProof | null => keptIn(runDir).read();

const keptIn = (runDir: string): KeptFact<PreemptionProof> =>
  new KeptFact(runDir, 'preemption', ({ verdict }) => PREEMPTION_VERDICTS.includes(verdict));

/** The last one: low numbers get most of a machine's interrupts. Null when no CPU has executors of both lanes. */
function sharedCpu({ workers }: Placement): number | null {
  const cpusOf = (lane: string): number[] => workers.filter((worker) => worker.lane === lane).flatMap(({ cpus }) => cpus);
  const batch = new Set(cpusOf('batch'));
  return (
    cpusOf('realtime')
      .filter((cpu) => batch.has(cpu))
      .at(-1) ?? null
  );
}
