import type { PlacedRelease } from '@app/contracts';
import { parseRelease } from './release-file';
import { NO_RELEASE, placedRelease, versionsToLoad } from './releases';

const decided = (action: 'promote' | 'rollback', version: string) => ({ action, version, atMs: 0, reason: '', by: 'rule' as const });
const placed = (
  text: string | null,
  serving: string[],
  decisions = [decided('promote', '0')].slice(1),
  before: PlacedRelease | null = null,
) => placedRelease({ name: 'm', file: text === null ? NO_RELEASE : parseRelease(text), decisions, serving, coming: [], before });
const CANARY = 'canary: [{ version: 3, trafficPercent: 10 }]';

describe('what holds of a release', () => {
  it('is nothing without a file and a decision', () => {
    expect(placed(null, ['1'])).toBeNull();
  });

  it('is the newest version that is not on trial, where none is called stable', () => {
    expect(placed(CANARY, ['1', '2', '3'])).toMatchObject({ labels: { stable: '2' }, canary: { version: '3' } });
    expect(placed(CANARY, ['1', '2'])).toMatchObject({ labels: { stable: '2' }, canary: null });
    expect(placed('mirror: { version: 3, percent: 5 }', ['2', '3'])).toMatchObject({ labels: { stable: '2' }, mirror: { version: '3' } });
    const starting = { name: 'm', file: parseRelease(CANARY), decisions: [], serving: [], coming: ['2', '3'], before: null };
    expect(placedRelease(starting)).toMatchObject({ labels: { stable: '2' }, canary: null });
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
    expect([...versionsToLoad(present, { policy: 'all' }, [])]).toEqual(present);
    expect([...versionsToLoad(present, { policy: 'latest', keep: 2 }, ['1', '7'])]).toEqual(['3', '10', '1']);
    expect([...versionsToLoad(present, { policy: 'specific', specific: ['2', '9'] }, [])]).toEqual(['2']);
  });
});
