import type { ActiveBatchView, NodeView } from '@app/contracts';
import { timeLeftMs } from './time-left';

const batch = (expected: number | null, paused: string | null = null): ActiveBatchView =>
  ({ secondsLeft: expected === null ? null : { expected, low: 1, high: 999 }, paused }) as ActiveBatchView;
const view = (...batches: ActiveBatchView[]): NodeView =>
  ({ batches, batchLane: { chunks: { running: 1, waiting: 0, oldestSeconds: 0 } } }) as unknown as NodeView;

describe('the time left of all batches', () => {
  it('is that of the batch that ends last, as the list says it', () => expect(timeLeftMs(view(batch(40), batch(94)))).toBe(94_000));
  it('is none where no batch is open', () => expect(timeLeftMs(view())).toBe(0));
  it('leaves out those that are paused', () => expect(timeLeftMs(view(batch(40), batch(null, 'by an operator')))).toBe(40_000));
  it.each([
    ['one is not predicted yet', view(batch(40), batch(null))],
    ['all are paused', view(batch(40, 'by an operator'))],
    ['the runner is away', { ...view(), batchLane: { chunks: null } } as NodeView],
  ])('is not known where %s', (_name, shown) => expect(timeLeftMs(shown)).toBeNull());
});
