import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@app/telemetry';
import { RepositoryEvents } from './events';

describe('events of models', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-events-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  it('keep the newest in memory, and more in two files of a bounded size', () => {
    const path = join(dir, 'data', 'events.jsonl');
    const events = new RepositoryEvents(path, createLogger('scheduler', 'fatal'), () => 7);
    const event = (number: number) => ({ model: 'm', version: '1', revision: number, kind: 'serving' as const, message: 'x'.repeat(2500) });
    for (let number = 1; number <= 1100; number++) events.add(event(number));
    expect(events.newest()).toHaveLength(100);
    expect(events.newest().at(-1)).toEqual({ ...event(1100), atMs: 7, message: 'x'.repeat(2000) });
    const sizes = [path, `${path}.1`].map((file) => statSync(file).size);
    expect(sizes.every((size) => size > 0 && size <= 1024 * 1024)).toBe(true);
    expect(JSON.parse(readFileSync(path, 'utf8').trim().split('\n').at(-1) ?? '')).toMatchObject({ revision: 1100 });
  });

  it('go on without the file', () => {
    const events = new RepositoryEvents(join(__filename, 'events.jsonl'), createLogger('scheduler', 'fatal'));
    events.add({ model: 'm', version: null, revision: null, kind: 'release', message: '' });
    expect(events.newest()).toHaveLength(1);
  });
});
