import { InterleaveError } from '@app/contracts';
import { Breaker, BreakerOpen, type Verdict } from './breaker';

const SETTINGS = { callsMax: 20, callsMin: 4, failureShare: 0.5, openMs: 1000, openMsMax: 4000 };
const verdictOf = (error: unknown): Verdict => (error as { verdict: Verdict }).verdict;

describe('Breaker', () => {
  let breaker: Breaker;
  beforeEach(() => {
    jest.useFakeTimers({ now: 1_000_000 });
    breaker = new Breaker('b', SETTINGS, verdictOf);
  });
  afterEach(() => jest.useRealTimers());

  const works = (): Promise<string> => breaker.run(async () => 'ok');
  const fails = (verdict: Verdict): Promise<unknown> =>
    breaker
      .run(() => Promise.reject(Object.assign(new InterleaveError('internal', `it is ${verdict}`), { verdict })))
      .catch((error: unknown) => error);
  const open = async (): Promise<void> => {
    for (let i = 0; i < SETTINGS.callsMin; i++) await fails('fault');
  };

  it('opens after enough faults, says why and for how long', async () => {
    await fails('fault');
    await fails('fault');
    await fails('fault');
    expect(breaker.status()).toEqual({ name: 'b', state: 'closed', sinceMs: 1_000_000, reason: null, opened: 0 });
    await fails('fault');
    expect(breaker.status()).toMatchObject({
      state: 'open',
      opened: 1,
      reason: expect.stringMatching(/the last one with: it is fault/) as string,
    });
    const error = await works().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BreakerOpen);
    expect(error).toMatchObject({ retryAfterSeconds: 1 });
  });

  it('stays closed while at least half of the last calls work', async () => {
    for (let i = 0; i < 50; i++) {
      await works();
      await fails('fault');
    }
    expect(breaker.status().state).toBe('closed');
  });

  it.each(['innocent', 'unclear'] as const)('never opens by %s errors, nor does one hide faults', async (verdict) => {
    for (let i = 0; i < 100; i++) await fails(verdict);
    expect(breaker.status().state).toBe('closed');
    await open();
    expect(breaker.status().state).toBe('open');
  });

  it('lets one call through after the time, and refuses the others meanwhile', async () => {
    await open();
    jest.setSystemTime(1_000_999);
    await expect(works()).rejects.toBeInstanceOf(BreakerOpen);
    jest.setSystemTime(1_001_000);
    expect(breaker.isDue).toBe(true);
    let finish: (value: string) => void = () => undefined;
    const trial = breaker.run(() => new Promise<string>((resolve) => (finish = resolve)));
    expect(breaker.status().state).toBe('half-open');
    await expect(works()).rejects.toMatchObject({ retryAfterSeconds: 1 });
    finish('done');
    await expect(trial).resolves.toBe('done');
    expect(breaker.status()).toMatchObject({ state: 'closed', sinceMs: 1_001_000, reason: null });
    await expect(works()).resolves.toBe('ok');
  });

  it('opens for twice as long with each trial that fails, up to the maximum, and starts anew once it closed', async () => {
    await open();
    const waits: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      waits.push(await works().catch((error: BreakerOpen) => error.retryAfterSeconds));
      jest.setSystemTime(Date.now() + (waits[i] as number) * 1000);
      await fails('fault');
    }
    expect(waits).toEqual([1, 2, 4, 4]);
    expect(breaker.status().opened).toBe(5);
    jest.setSystemTime(Date.now() + 4000);
    await works();
    await open();
    await expect(works()).rejects.toMatchObject({ retryAfterSeconds: 1 });
  });

  it('asks again soon when the trial said nothing, and closes when the caller was at fault', async () => {
    await open();
    for (let i = 0; i < 3; i++) {
      jest.setSystemTime(Date.now() + 1000);
      expect(await fails('unclear')).toMatchObject({ message: 'it is unclear' });
      expect(breaker.status()).toMatchObject({ state: 'open', opened: 1 });
    }
    jest.setSystemTime(Date.now() + 1000);
    await fails('innocent');
    expect(breaker.status().state).toBe('closed');
  });

  it('does not show errors that nobody wrote for callers', async () => {
    for (let i = 0; i < SETTINGS.callsMin; i++)
      await breaker.run(() => Promise.reject(Object.assign(new Error('/secret/path'), { verdict: 'fault' }))).catch(() => undefined);
    expect(breaker.status().reason).toMatch(/an internal error$/);
  });
});
