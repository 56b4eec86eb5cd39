import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { BatchAction, BatchDetail, BatchPriority, BatchSummary } from '@app/contracts';
import { ask } from '../../live/requests';
import { hrefOf } from '../../route';

const BATCHES = '/dashboard/batches';

export const urlOf = (id: string, part = ''): string => `${BATCHES}/${encodeURIComponent(id)}${part}`;

type Plain = Exclude<BatchAction, 'priority'>;

interface ActionWords {
  label: string;
  /** Asked before it is done; null: it can be taken back. */
  question: string | null;
  isDangerous?: boolean;
}

const WORDS: Readonly<Record<Plain, ActionWords>> = {
  pause: { label: 'Pause', question: null },
  resume: { label: 'Resume', question: null },
  retry: { label: 'Retry', question: 'Rows that failed or were not run become a new batch.' },
  cancel: {
    label: 'Cancel',
    question: 'It ends within seconds. Rows that are done keep their answers; the others are not run.',
    isDangerous: true,
  },
  delete: {
    label: 'Delete',
    question: 'The batch, its output and its errors are removed for good. The input file stays.',
    isDangerous: true,
  },
};
const PRIORITIES: readonly BatchPriority[] = ['low', 'normal', 'high'];

interface ActionsProps {
  batch: BatchSummary;
  /** Something was done: what is shown is old. */
  onDone: () => void;
}

/** What can be done with a batch as it is. */
export function BatchActions({ batch, onDone }: ActionsProps): JSX.Element {
  const [asked, setAsked] = useState<Plain | null>(null);
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<{ text: string; isBad: boolean } | null>(null);
  const act = async (action: BatchAction, priority?: BatchPriority): Promise<void> => {
    setBusy(true);
    setAsked(null);
    try {
      setSaid({ text: await send(batch, action, priority), isBad: false });
    } catch (error) {
      setSaid({ text: (error as Error).message, isBad: true });
    }
    setBusy(false);
    onDone();
  };
  const choose = (action: Plain): void => (WORDS[action].question === null ? void act(action) : setAsked(action));
  return (
    <div class="actions">
      {batch.actions
        .filter((action) => action !== 'priority')
        .map((action) => (
          <button
            key={action}
            type="button"
            class={`button ${WORDS[action].isDangerous ? 'button-bad' : ''}`}
            disabled={busy}
            onClick={() => choose(action)}
          >
            {WORDS[action].label}
          </button>
        ))}
      {batch.actions.includes('priority') && (
        <label class="priority">
          <span class="soft small">Priority</span>
          <select
            value={batch.priority}
            disabled={busy}
            onChange={({ currentTarget }) => void act('priority', currentTarget.value as BatchPriority)}
          >
            {PRIORITIES.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
      )}
      <p class={`actions-said small ${said?.isBad ? 'tone-bad' : 'soft'}`} role="status">
        {said?.text}
      </p>
      {asked !== null && <Question action={asked} batch={batch} onYes={() => void act(asked)} onNo={() => setAsked(null)} />}
    </div>
  );
}

/** What to say when it is done. */
async function send({ id }: BatchSummary, action: BatchAction, priority?: BatchPriority): Promise<string> {
  if (action === 'delete') {
    await ask(urlOf(id), { method: 'DELETE' });
    location.hash = hrefOf('batches');
    return 'Deleted';
  }
  const body = priority === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ priority }) };
  const batch = await ask<BatchDetail>(urlOf(id, `/${action}`), { method: 'POST', ...body });
  if (action === 'retry') location.hash = hrefOf('batches', batch.id);
  return {
    pause: 'Paused',
    resume: 'It goes on',
    cancel: 'It is being cancelled',
    retry: 'A new batch was made',
    priority: `Priority is ${batch.priority}`,
  }[action];
}

function Question({
  action,
  batch,
  onYes,
  onNo,
}: {
  action: Plain;
  batch: BatchSummary;
  onYes: () => void;
  onNo: () => void;
}): JSX.Element {
  const { label, question, isDangerous } = WORDS[action];
  const opened = useRef(false);
  // Modal: the browser keeps the focus inside, and gives it back.
  const open = (dialog: HTMLDialogElement | null): void => {
    if (dialog === null || opened.current) return;
    opened.current = true;
    dialog.showModal();
  };
  return (
    <dialog ref={open} class="question" aria-labelledby="question-title" onClose={onNo} onCancel={onNo}>
      <h2 id="question-title">{label} this batch?</h2>
      <p>
        <code>{batch.id}</code>
      </p>
      <p class="soft">{question}</p>
      <div class="question-buttons">
        <button type="button" class="button" onClick={onNo}>
          No, leave it
        </button>
        <button type="button" class={`button ${isDangerous ? 'button-bad-full' : 'button-full'}`} onClick={onYes}>
          {label} it
        </button>
      </div>
    </dialog>
  );
}
