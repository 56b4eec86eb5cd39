import { VERSION, type PreemptionProof } from '@app/contracts';
import type { NewEvent } from './new-event';

/** What is known before the first look. */
export function beginning(preemption: PreemptionProof, settings: readonly NewEvent[]): NewEvent[] {
  const started: NewEvent = {
    kind: 'node',
    level: 'ok',
    text: `The node started, version ${VERSION}.`,
    meaning: 'Processes that ran already go on; the others load their models.',
    advice: null,
    subject: null,
  };
  return [started, ...proof(preemption), ...settings];
}

function proof({ verdict, reason }: PreemptionProof): NewEvent[] {
  if (verdict === 'holds') return [];
  if (verdict === 'fails') {
    const text = 'Batches do not give way to live requests here.';
    return [{ kind: 'node', level: 'watch', text, meaning: 'Live requests wait for batch runs.', advice: reason, subject: null }];
  }
  return [
    {
      kind: 'node',
      level: 'ok',
      text: 'Whether batches give way to live requests could not be told.',
      meaning: `They do on every kernel that is not set otherwise. Why: ${reason.replace(/\.$/, '')}.`,
      advice: 'Run interleave doctor while the machine is quiet: it measures this again.',
      subject: null,
    },
  ];
}
