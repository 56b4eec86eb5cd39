import type { BatchAction, NodeView } from '@app/contracts';
import { line, span, type Line } from './styled-text';
import { PANEL_IDS, type PanelId } from './panels/panel';

/** What somebody did with the keys so far. */
export interface KeyState {
  focus: PanelId;
  scroll: number;
  chosenBatch: string | null;
  isHelpShown: boolean;
  /** Waits for yes or no; null: nothing does. */
  question: Question | null;
  /** What came of the last key; null: nothing to tell. */
  notice: string | null;
}

export interface Question {
  batchId: string;
  action: BatchAction;
}

/** What is to be done beside drawing. `offer`: look what may be done with the batch, and ask for it. */
export type Effect =
  | { kind: 'quit' }
  | { kind: 'offer'; batchId: string; wanted: readonly BatchAction[] }
  | { kind: 'act'; question: Question };

export const FIRST_KEYS: KeyState = { focus: 'batches', scroll: 0, chosenBatch: null, isHelpShown: false, question: null, notice: null };

const PAUSING: readonly BatchAction[] = ['pause', 'resume'];
const QUESTIONS: Partial<Record<BatchAction, string>> = {
  pause: 'Pause batch {}? What runs is finished.',
  resume: 'Let batch {} go on?',
  cancel: 'Cancel batch {}? What is done stays; it cannot go on afterwards.',
};

export const HELP: readonly string[] = [
  'q             ends',
  'tab, ← →      next panel, panel before',
  '↑ ↓           chooses a batch, or scrolls',
  'p             pauses the chosen batch, or lets it go on',
  'c             cancels the chosen batch',
  '?             this list',
  '',
  'CPU bars      █ live  ▓ batch  ▒ system: all else, API and runner too  · idle',
  'P99           of all live requests over 10 s; GOAL is of the model nearest to it',
  'QUEUE         items that wait = predicted time until they are done',
];

/** The batch that keys act on: the one that was chosen, while it runs, else the first. */
export function chosenBatchOf({ chosenBatch }: KeyState, { batches }: NodeView): string | null {
  return (batches.find(({ id }) => id === chosenBatch) ?? batches[0])?.id ?? null;
}

/** `key`: as terminal-kit names it. */
export function press(state: KeyState, key: string, view: NodeView): { state: KeyState; effect?: Effect } {
  if (key === 'CTRL_C' || (key === 'q' && state.question === null)) return { state, effect: { kind: 'quit' } };
  if (state.question !== null) return answer(state, state.question, key);
  if (state.isHelpShown) return { state: { ...state, isHelpShown: false } };
  const quiet = { ...state, notice: null };
  switch (key) {
    case '?':
      return { state: { ...quiet, isHelpShown: true } };
    case 'TAB':
    case 'RIGHT':
      return { state: moveFocus(quiet, 1) };
    case 'SHIFT_TAB':
    case 'LEFT':
      return { state: moveFocus(quiet, -1) };
    case 'DOWN':
      return { state: move(quiet, 1, view) };
    case 'UP':
      return { state: move(quiet, -1, view) };
    case 'p':
      return offer(quiet, PAUSING, view);
    case 'c':
      return offer(quiet, ['cancel'], view);
    default:
      return { state: quiet };
  }
}

export function footerOf({ question, notice }: KeyState): Line {
  if (question !== null)
    return line(span((QUESTIONS[question.action] ?? '').replace('{}', question.batchId), 'strong'), span('  y: yes   n: no', 'soft'));
  if (notice !== null) return line(span(notice, 'strong'));
  return line(span('q end   tab panel   ↑↓ choose   p pause   c cancel   ? help', 'soft'));
}

function answer(state: KeyState, question: Question, key: string): { state: KeyState; effect?: Effect } {
  if (key === 'y') return { state: { ...state, question: null }, effect: { kind: 'act', question } };
  const isNo = key === 'n' || key === 'ESCAPE' || key === 'q';
  return { state: isNo ? { ...state, question: null, notice: 'Nothing was changed.' } : state };
}

function moveFocus(state: KeyState, by: number): KeyState {
  const at = (PANEL_IDS.indexOf(state.focus) + by + PANEL_IDS.length) % PANEL_IDS.length;
  return { ...state, focus: PANEL_IDS[at] ?? 'batches', scroll: 0 };
}

/** In the batches the chosen one moves, and stays in sight; other panels scroll. */
function move(state: KeyState, by: number, view: NodeView): KeyState {
  const { batches, cpus, models, events } = view;
  if (state.focus === 'batches') {
    const at = batches.findIndex(({ id }) => id === chosenBatchOf(state, view));
    const next = Math.min(Math.max(0, at + by), Math.max(0, batches.length - 1));
    return { ...state, chosenBatch: batches[next]?.id ?? null, scroll: Math.max(0, next - 1) };
  }
  const lengths = { cpus: cpus.length, models: models.length, events: events.length };
  return { ...state, scroll: Math.min(Math.max(0, state.scroll + by), Math.max(0, lengths[state.focus] - 1)) };
}

function offer(state: KeyState, wanted: readonly BatchAction[], view: NodeView): { state: KeyState; effect?: Effect } {
  const batchId = chosenBatchOf(state, view);
  if (batchId === null) return { state: { ...state, notice: 'No batch runs on this node.' } };
  return { state: { ...state, focus: 'batches', chosenBatch: batchId }, effect: { kind: 'offer', batchId, wanted } };
}
