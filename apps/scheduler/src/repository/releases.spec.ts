import type { PlacedRelease } from '@app/contracts';
import { parseRelease } from './release-file';
import { NO_RELEASE, placedRelease, versionsToLoad } from './releases';

const decided = (action: 'promote' | 'rollback', version: string) => ({ action, version, atMs: 0, reason: '', by: 'rule' as const });
const placed = (
  text: string | null,
  serving: string[],
  decisions = [decided('promote', '0')].slice(1),
  before: PlacedRelease | null = null,
) => placedRelease({ name: 'm', file: text === null ? NO_RELEASE : parseRelease(text), decisions, serving, awaited: [], before });
const loaded = (text: string, present: string[], stable: string | null = null) => [
  ...versionsToLoad(present, { file: parseRelease(text), decisions: [], stable }),
];
const CANARY = 'canary: [{ version: 3, trafficPercent: 10 }]';

describe('what holds of a release', () => {
  it('is nothing without a file and a decision', () => {
    expect(placed(null, ['1'])).toBeNull();
  });

  it('is the newest version that is not on trial, where none is called stable', () => {
    expect(placed(CANARY, ['1', '2', '3'])).toMatchObject({ labels: { stable: '2' }, canary: { version: '3' } });
    expect(placed(CANARY, ['1', '2'])).toMatchObject({ labels: { stable: '2' }, canary: null });
    expect(placed('mirror: { version: 3, percent: 5 }', ['2', '3'])).toMatchObject({ labels: { stable: '2' }, mirror: { version: '3' } });
    const starting = { name: 'm', file: parseRelease(CANARY), decisions: [], serving: [], awaited: ['2', '3'], before: null };
    expect(placedRelease(starting)).toMatchObject({ labels: { stable: '2' }, canary: null });
    expect(placedRelease({ ...starting, serving: ['3'] })).toMatchObject({ labels: { stable: '2' }, canary: { version: '3' } });
  });

  it('calls none stable where none is named and nothing is on trial: the newest that is ready answers', () => {
    expect(placed('versions: { policy: all }', ['1', '2'])).toMatchObject({ labels: {}, canary: null });
    expect(placed('labels: { old: 1 }', ['1', '2'])?.labels).toEqual({ old: '1' });
  });

  it.each([
    ['a version that is not there beside a canary', `labels: { stable: 9 }\n${CANARY}`, '2'],
    ['a version that is not there beside a mirror', 'labels: { stable: 9 }\nmirror: { version: 3, percent: 5 }', '2'],
    ['a version that does not serve', 'labels: { stable: 9 }', '3'],
  ])('falls back to the newest version that is not on trial, where stable names %s', (_what, text, stable) => {
    expect(placed(text, ['1', '2', '3'])?.labels).toEqual({ stable });
    expect(placed(text, ['1', '2', '3'], [], placed(text, []))?.labels).toEqual({ stable });
  });

  it('lets requests wait for the version named stable, where it is about to serve', () => {
    const starting = { name: 'm', file: parseRelease('labels: { stable: 1 }'), decisions: [], before: null };
    expect(placedRelease({ ...starting, serving: ['2'], awaited: ['1'] })?.labels).toEqual({ stable: '1' });
  });

  it('keeps what was stable until the one named in its place serves', () => {
    const before = placed('labels: { stable: 1 }', ['1']);
    expect(placed('labels: { stable: 2 }', ['1'], [], before)).toMatchObject({ labels: { stable: '1' } });
    expect(placed('labels: { stable: 2 }', ['1', '2'], [], before)).toMatchObject({ labels: { stable: '2' } });
    expect(placed('labels: { stable: 2 }', [], [], before)).toMatchObject({ labels: { stable: '2' } });
  });

  it('follows decisions', () => {
    const file = `labels: { stable: 1 }\n${CANARY}`;
    expect(placed(file, ['1', '2', '3'], [decided('promote', '3')])).toMatchObject({ labels: { stable: '3' }, canary: null });
    expect(placed(file, ['1', '2', '3'], [decided('rollback', '3')])).toMatchObject({ labels: { stable: '1' }, canary: null });
    expect(placed(CANARY, ['1', '2', '3'], [decided('rollback', '3')])).toMatchObject({ labels: { stable: '2' }, canary: null });
    expect(placed(null, ['1', '2'], [decided('rollback', '2')])).toMatchObject({ labels: { stable: '1' } });
    expect(placed('labels: { stable: 2 }', ['1', '2'], [decided('rollback', '2')])).toMatchObject({ labels: { stable: '1' } });
  });

  it('loads by policy, and what is named', () => {
    const present = ['1', '2', '3', '10'];
    expect(loaded('', present)).toEqual(present);
    expect(loaded('versions: { policy: latest, keep: 2 }\nlabels: { old: 1, gone: 7 }', present)).toEqual(['3', '10', '1']);
    expect(loaded('versions: { policy: specific, specific: [2, 9] }', present)).toEqual(['2']);
  });

  it('loads what is stable and the newest that is not on trial, whatever the policy', () => {
    const latest = 'versions: { policy: latest }\n';
    expect(loaded(latest + CANARY, ['1', '2', '3'])).toEqual(['3', '2']);
    expect(loaded(`${latest}${CANARY}\nlabels: { old: 1 }`, ['1', '2', '3'])).toEqual(['3', '1', '2']);
    expect(loaded(`${latest}${CANARY}\nlabels: { stable: 1 }`, ['1', '2', '3'])).toEqual(['3', '1']);
    expect(loaded(`${latest}mirror: { version: 3, percent: 5 }\nlabels: { stable: 9 }`, ['1', '2', '3'])).toEqual(['3', '2']);
    expect(loaded(latest + CANARY, ['3'])).toEqual(['3']);
    expect(loaded(latest, ['1', '2', '3'], '2')).toEqual(['3', '2']);
  });
});
