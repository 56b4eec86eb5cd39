import { InterleaveError, type ErrorCode } from '@app/contracts';
import type { RowEngine, RowRequest } from './row-engine';
import { answerPatiently } from './row-retries';

const ROW: RowRequest = {
  endpoint: { kind: 'embeddings', model: null, version: null },
  body: {},
  runAlone: false,
  pin: null,
  packsVectors: false,
};

const patience = { signal: new AbortController().signal, onRefused: () => undefined };

function engineThatFails(codes: ErrorCode[]): RowEngine & { calls: number } {
  return {
    calls: 0,
    async answer() {
      const code = codes[this.calls++];
      if (code !== undefined) throw new InterleaveError(code, 'no');
      return { done: true };
    },
    predict: () => Promise.reject(new Error('not asked')),
    executorCount: () => 0,
    secondsPerRow: () => 0,
    modelProblem: () => null,
    pin: () => Promise.reject(new Error('not asked')),
    pinProblem: async () => null,
    pinnedRevisions: () => [],
  };
}

describe('answerPatiently', () => {
  it('tries again while workers are away or busy', async () => {
    const engine = engineThatFails(['worker_unavailable', 'overloaded', 'worker_unavailable']);
    const reasons: string[] = [];
    expect(await answerPatiently(engine, ROW, { ...patience, onRefused: (reason) => reasons.push(reason) })).toEqual({ done: true });
    expect(reasons).toEqual(['no', 'no', 'no']);
    expect(engine.calls).toBe(4);
  });

  it.each<ErrorCode>(['invalid_request', 'model_not_found', 'inference_failed', 'deadline_exceeded'])(
    'does not try again after %s',
    async (code) => {
      const engine = engineThatFails([code]);
      await expect(answerPatiently(engine, ROW, patience)).rejects.toMatchObject({ code });
      expect(engine.calls).toBe(1);
    },
  );

  it('gives up when it is aborted while it waits', async () => {
    const stop = new AbortController();
    const engine = engineThatFails(Array.from({ length: 20 }, () => 'worker_unavailable'));
    const answer = answerPatiently(engine, ROW, { ...patience, signal: stop.signal });
    setImmediate(() => stop.abort());
    await expect(answer).rejects.toThrow();
  });
});
