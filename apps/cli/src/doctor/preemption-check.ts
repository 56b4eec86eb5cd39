import { runPaths, type Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import { provePreemption } from '@app/native';
import { readTopology } from '@app/system';
import { fetchStatus } from '@app/process';
import { degraded, ok, type Finding } from './report';

const ANSWER_MS_MAX = 2000;
const SUBJECT = 'preemption';
const REMEDY = 'correct what the line names and start the node again';

/** What the running node measured at its start; without one, measured now. */
export async function checkPreemption({ runDir }: Pick<Config, 'runDir'>): Promise<Finding> {
  const status = fetchStatus('scheduler', runPaths(runDir).statusSocket('scheduler'), ANSWER_MS_MAX);
  const ofNode = await status.then(
    ({ preemption }) => preemption,
    () => null,
  );
  if (ofNode !== null) return preemptionFinding(ofNode, 'start the node again when the machine is idle');
  return preemptionFinding(
    await provePreemption({ cpu: readTopology().effective.at(-1) ?? 0 }),
    'run doctor again when the machine is idle',
  );
}

/** `again`: how to measure once more. */
export function preemptionFinding({ verdict, reason }: PreemptionProof, again: string): Finding {
  switch (verdict) {
    case 'holds':
      return ok(SUBJECT, reason);
    case 'fails':
      return degraded(SUBJECT, `${reason}. The lanes get CPUs of their own where there are two`, REMEDY);
    case 'unclear':
      return degraded(SUBJECT, reason, again);
  }
}
