import { chosenBatchOf, FIRST_KEYS, footerOf, press, type Effect, type KeyState } from './keys';
import { plainText } from './styled-text';
import { nodeView } from './testing/node-view';

function after(keys: readonly string[], state: KeyState = FIRST_KEYS, view = nodeView()): { state: KeyState; effect?: Effect } {
  return keys.reduce<{ state: KeyState; effect?: Effect }>(({ state: before }, key) => press(before, key, view), { state });
}

const ASKED: KeyState = { ...FIRST_KEYS, question: { batchId: 'batch_one', action: 'cancel' } };

describe('the keys', () => {
  it.each(['q', 'CTRL_C'])('end with %s', (key) => expect(after([key]).effect).toEqual({ kind: 'quit' }));

  it('go from panel to panel and round', () => {
    expect(['TAB', 'RIGHT', 'SHIFT_TAB', 'LEFT'].map((key) => after([key]).state.focus)).toEqual(['events', 'events', 'models', 'models']);
    expect(after(['TAB', 'TAB']).state.focus).toBe('cpus');
  });

  it('choose a batch, at most the last', () => {
    expect(chosenBatchOf(FIRST_KEYS, nodeView())).toBe('batch_one');
    expect(chosenBatchOf(after(['DOWN', 'DOWN', 'DOWN']).state, nodeView())).toBe('batch_two');
    expect(chosenBatchOf(after(['DOWN', 'UP']).state, nodeView())).toBe('batch_one');
    expect(chosenBatchOf({ ...FIRST_KEYS, chosenBatch: 'gone' }, nodeView())).toBe('batch_one');
    expect(chosenBatchOf(FIRST_KEYS, nodeView({ batches: [] }))).toBeNull();
  });

  it('scroll other panels within their rows', () => {
    expect(after(['TAB', 'DOWN', 'DOWN', 'DOWN']).state.scroll).toBe(1);
    expect(after(['TAB', 'UP']).state.scroll).toBe(0);
  });

  it.each([
    ['p', ['pause', 'resume']],
    ['c', ['cancel']],
  ])('ask with %s what may be done with the batch', (key, wanted) => {
    expect(after([key]).effect).toEqual({ kind: 'offer', batchId: 'batch_one', wanted });
    expect(after([key], FIRST_KEYS, nodeView({ batches: [] }))).toMatchObject({ state: { notice: 'No batch runs on this node.' } });
  });

  it('do nothing to a batch before y', () => {
    expect(plainText(footerOf(ASKED))).toMatch(/^Cancel batch batch_one\?.* y: yes {3}n: no$/);
    expect(after(['y'], ASKED)).toMatchObject({ state: { question: null }, effect: { kind: 'act', question: ASKED.question } });
    for (const key of ['n', 'q', 'ESCAPE'])
      expect(after([key], ASKED)).toEqual({ state: { ...ASKED, question: null, notice: 'Nothing was changed.' } });
    expect(after(['c', 'DOWN'], ASKED)).toEqual({ state: ASKED });
  });

  it('show their list, until any key', () => {
    expect(after(['?']).state.isHelpShown).toBe(true);
    expect(after(['?', 'c'])).toEqual({ state: FIRST_KEYS });
  });
});
