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
  return [
    {
      kind: 'node',
      level: verdict === 'fails' ? 'watch' : 'ok',
      text:
        verdict === 'fails'
          ? 'Batches do not give way to live requests here.'
          : 'Whether batches give way to live requests could not be told.',
      meaning: verdict === 'fails' ? 'Live requests wait for batch runs.' : 'They do on every kernel that is not set otherwise.',
      advice: reason,
      subject: null,
    },
  ];
}
