import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@app/telemetry';
import { LineFile } from '../history/line-file';
import { settingsChanges } from '../settings-changes';
import { changesOf } from './changes';
import { EventLog } from './event-log';
import type { NewEvent } from './new-event';

const log = createLogger('test', 'fatal');
const event = (text: string, more: Partial<NewEvent> = {}): NewEvent => {
  return { kind: 'restart', level: 'watch', text, meaning: 'm', advice: null, subject: 'w', ...more };
};

describe('the log of events', () => {
  let dir: string;
  const file = () => new LineFile(join(dir, 'events.jsonl'), 1_000_000, log);

  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-events-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  it('numbers events on over restarts, and leaves out what is none', () => {
    const first = new EventLog(file(), () => 5);
    expect(first.add([event('a'), event('b')]).map(({ id, atMs }) => [id, atMs])).toEqual([
      [1, 5],
      [2, 5],
    ]);
    file().append({ id: 7, text: 'no event' });
    const next = new EventLog(file());
    expect(next.newest(10).map(({ text }) => text)).toEqual(['a', 'b']);
    expect(next.add([event('c')]).map(({ id }) => id)).toEqual([3]);
  });

  it('keeps the newest 1,000, and says of a flood that it was one', () => {
    const events = new EventLog(file());
    for (let n = 0; n < 1_100; n++) events.add([event(`e${n}`)]);
    expect(events.newest(5_000).map(({ text }) => text)[0]).toBe('e100');
    const told = events.add(Array.from({ length: 50 }, () => event('flood')));
    expect([told.length, told.at(-1)?.text]).toEqual([21, '30 more things happened at the same time.']);
  });

  it('has as changes what holds, with how often it happened in 15 minutes', () => {
    const at = (minutes: number) => minutes * 60_000;
    const moments: [number, NewEvent][] = [
      [at(1), event('killed')],
      [at(10), event('began', { kind: 'batch', subject: 'b' })],
      [at(11), event('killed')],
      [at(12), event('killed')],
      [at(13), event('completed', { kind: 'batch', subject: 'b' })],
    ];
    const events = moments.map(([atMs, each], index) => ({ ...each, atMs, id: index }));
    expect(changesOf(events, at(17)).map(({ text, count, eventId }) => [text, count, eventId])).toEqual([
      ['killed', 2, 3],
      ['completed', 1, 4],
    ]);
  });
});

it('names the settings that changed between two starts, and none of their values', () => {
  const dir = mkdtempSync(join(tmpdir(), 'il-settings-'));
  const path = join(dir, 'deep', 'settings.json');
  const settings = { port: 1, redisUrl: 'redis://secret', batch: { floorShare: 0.1, list: [1, 2] } };
  expect(settingsChanges(path, settings)).toEqual([]);
  expect(settingsChanges(path, settings)).toEqual([]);
  const [told] = settingsChanges(path, { ...settings, redisUrl: 'redis://other', batch: { floorShare: 0.2, list: [1, 2] }, added: true });
  expect(told?.text).toBe('Settings changed since the last start: added, batch.floorShare, redisUrl.');
  rmSync(dir, { recursive: true });
});
