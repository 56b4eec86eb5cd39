import type { ModelReport } from '@app/contracts';
import { mergeReports, resolveModel } from './model-directory';

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
  resolveModel(mergeReports(reports), 'm', version)?.version;

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

  it('finds exactly the version that was asked for', () => {
    expect(resolved([report('1', 'ready'), report('2', 'ready')], '1')).toBe('1');
    expect(resolved([report('1', 'ready')], '3')).toBeUndefined();
    expect(resolved([report('1', 'ready', 'other')])).toBeUndefined();
  });
});
