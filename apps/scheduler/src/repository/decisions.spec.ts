import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@app/telemetry';
import { ReleaseDecisions, standing, type Decision } from './decisions';

describe('decisions about releases', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-decisions-'))));
  afterEach(() => rmSync(dir, { recursive: true }));
  const open = (): ReleaseDecisions => new ReleaseDecisions(join(dir, 'releases.json'), createLogger('scheduler', 'fatal'));
  const decision = (action: Decision['action'], version: string): Decision => ({
    atMs: 1,
    action,
    version,
    reason: 'r',
    by: 'rule',
    figures: { p99: 2 },
  });

  it('hold for one text of release.yaml, and survive a restart', () => {
    open().add('m', 'a', decision('rollback', '2'));
    expect(open().of('m', 'a')).toEqual([decision('rollback', '2')]);
    expect(open().of('m', 'b')).toEqual([]);
    open().add('m', 'b', decision('promote', '3'));
    expect(open().of('m', 'a')).toEqual([]);
  });

  it('are the last one of each version', () => {
    const decisions = open();
    for (const action of ['promote', 'rollback', 'promote'] as const) decisions.add('m', 'a', decision(action, '2'));
    expect(decisions.of('m', 'a')).toHaveLength(1);
    decisions.add('m', 'a', decision('promote', '3'));
    decisions.add('m', 'a', decision('rollback', '3'));
    expect(standing(decisions.of('m', 'a'))).toEqual({ promoted: '2', rolledBack: new Set(['3']) });
  });

  it('are forgotten where the file is broken, and it is kept until the next one', () => {
    writeFileSync(join(dir, 'releases.json'), '{');
    expect(open().of('m', 'a')).toEqual([]);
    expect(readFileSync(join(dir, 'releases.json'), 'utf8')).toBe('{');
  });
});
