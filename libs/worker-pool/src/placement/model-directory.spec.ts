import type { ModelReport } from '@app/contracts';
import { mergeReports, resolveModel, withhold } from './model-directory';

const report = (version: string, state: ModelReport['state'], name = 'm'): ModelReport => ({
  name,
  version,
  revision: Number(version),
  state,
  reason: null,
  signature: null,
  cost: null,
});

const resolved = (reports: ModelReport[], version: string | null = null): string | undefined =>
  resolveModel(mergeReports(reports), { model: 'm', version })?.version;

describe('model directory', () => {
  it('takes the best word about a version that several workers have', () => {
    const merged = mergeReports([report('1', 'failed'), report('1', 'ready'), report('1', 'loading')]);
    expect([...merged.values()]).toEqual([report('1', 'ready')]);
  });

  it('compares versions as numbers of any length', () => {
    expect(resolved([report('9', 'ready'), report('10', 'ready')])).toBe('10');
    expect(resolved([report('010', 'ready'), report('9', 'ready')])).toBe('010');
    expect(resolved([report('99999999999999999998', 'ready'), report('99999999999999999999', 'ready')])).toBe('99999999999999999999');
  });

  it('prefers what is ready, then what loads, then what failed', () => {
    expect(resolved([report('1', 'ready'), report('2', 'loading'), report('3', 'failed')])).toBe('1');
    expect(resolved([report('2', 'loading'), report('3', 'failed')])).toBe('2');
    expect(resolved([report('2', 'failed'), report('3', 'failed')])).toBe('3');
  });

  it('keeps the revisions of a version apart, and takes the newest that is ready', () => {
    const of = (revision: number, state: ModelReport['state']): ModelReport => ({ ...report('1', state), revision });
    const reports = mergeReports([of(7, 'ready'), of(8, 'loading'), of(8, 'failed')]);
    expect([...reports.values()]).toEqual([of(7, 'ready'), of(8, 'loading')]);
    const revisionOf = (revision?: number): number | undefined => resolveModel(reports, { model: 'm', version: '1', revision })?.revision;
    expect([revisionOf(), revisionOf(8), revisionOf(9)]).toEqual([7, 8, undefined]);
    expect(resolveModel(mergeReports([of(7, 'ready'), of(10, 'ready')]), { model: 'm', version: null })?.revision).toBe(10);
  });

  it('withholds every revision of a version that is quarantined', () => {
    const reports = mergeReports([report('1', 'ready'), { ...report('1', 'ready'), revision: 9 }, report('2', 'ready')]);
    withhold(reports, [{ name: 'm', version: '1', lane: 'realtime', reason: 'killed', untilMs: 0, periodMs: 1, isUnloaded: false }]);
    expect([...reports.values()].map(({ state }) => state)).toEqual(['failed', 'failed', 'ready']);
  });

  it('finds exactly the version that was asked for', () => {
    expect(resolved([report('1', 'ready'), report('2', 'ready')], '1')).toBe('1');
    expect(resolved([report('1', 'ready')], '3')).toBeUndefined();
    expect(resolved([report('1', 'ready', 'other')])).toBeUndefined();
  });
});
