import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { isolateDiskWork } from './isolation';

const hasIonice = spawnSync('ionice', ['-p', String(process.pid)]).status === 0;

describe('isolateDiskWork', () => {
  (hasIonice ? it : it.skip)('gives every thread of the process the idle class', () => {
    expect(isolateDiskWork()).toEqual({ tool: 'io-class', state: 'active', reason: null });
    const threads = readdirSync('/proc/self/task');
    expect(threads.map((thread) => execFileSync('ionice', ['-p', thread], { encoding: 'utf8' }).trim())).toEqual(threads.map(() => 'idle'));
  });
});
