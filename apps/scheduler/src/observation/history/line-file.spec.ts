import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@app/telemetry';
import { LineFile } from './line-file';

const log = createLogger('test', 'fatal');

describe('a file of lines', () => {
  let dir: string;
  let path: string;
  const open = (bytesMax = 1_000_000) => new LineFile(path, bytesMax, log);

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'il-lines-'));
    path = join(dir, 'deep', 'lines.jsonl');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('has what was written, also for the next one who opens it', () => {
    expect(open().read()).toEqual([]);
    const file = open();
    file.append({ a: 1 });
    file.append({ b: 'ö' });
    expect(open().read()).toEqual([{ a: 1 }, { b: 'ö' }]);
  });

  it('loses at most the line that was cut, whatever the byte at which it was', () => {
    const file = open();
    for (let n = 0; n < 4; n++) file.append({ n, text: 'ö"\\' });
    const whole = readFileSync(path);
    const ends = [...whole.entries()].filter(([, byte]) => byte === 10).map(([index]) => index);
    for (let bytes = whole.length; bytes >= 0; bytes--) {
      writeFileSync(path, whole.subarray(0, bytes));
      const kept = ends.filter((end) => end <= bytes).map((_, n) => ({ n, text: 'ö"\\' }));
      const after = open();
      expect({ bytes, read: after.read() }).toEqual({ bytes, read: kept });
      after.append({ n: 'new' });
      expect({ bytes, read: open().read() }).toEqual({ bytes, read: [...kept, { n: 'new' }] });
    }
  });

  it('reads round a damaged middle and zeros at the end, as a power cut leaves them', () => {
    const file = open();
    for (let n = 0; n < 3; n++) file.append({ n });
    writeFileSync(path, Buffer.concat([Buffer.from('{"n":0}\n\x00\x01"}}\n{"n":2}\n'), Buffer.alloc(64)]));
    const after = open();
    after.append({ n: 3 });
    expect(open().read()).toEqual([{ n: 0 }, { n: 2 }, { n: 3 }]);
  });

  it('never takes more than twice its limit, and keeps the newest', () => {
    const file = open(1000);
    for (let n = 0; n < 500; n++) {
      file.append({ n, text: 'x'.repeat(n % 90) });
      expect(statSync(path).size).toBeLessThanOrEqual(1000);
      if (existsSync(`${path}.1`)) expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(1000);
    }
    const kept = open(1000).read() as { n: number }[];
    expect(kept.map(({ n }) => n)).toEqual(Array.from({ length: kept.length }, (_, index) => 500 - kept.length + index));
    expect(kept.length).toBeGreaterThan(10);
  });

  it('goes on in memory where the disk takes nothing, and in the file again later', () => {
    const file = open();
    file.append({ n: 0 });
    rmSync(join(dir, 'deep'), { recursive: true });
    writeFileSync(join(dir, 'deep'), 'no folder');
    file.append({ n: 1 });
    rmSync(join(dir, 'deep'));
    file.append({ n: 2 });
    expect(open().read()).toEqual([{ n: 2 }]);
  });

  it('is whole up to the last line after SIGKILL of a process that writes without a pause', async () => {
    const line = JSON.stringify({ text: 'x'.repeat(5000) });
    const writer = `const fs = require('fs'); for (let n = 0; ; n++) fs.appendFileSync(${JSON.stringify(join(dir, 'w'))}, '{"n":' + n + ',"more":${line.replaceAll('"', '\\"')}}\\n');`;
    const child = spawn(process.execPath, ['-e', writer], { stdio: 'inherit' });
    while (!existsSync(join(dir, 'w')) || statSync(join(dir, 'w')).size < 100_000) await sleep(10);
    child.kill('SIGKILL');
    await once(child, 'exit');
    truncateSync(join(dir, 'w'), statSync(join(dir, 'w')).size - 7);
    const read = new LineFile(join(dir, 'w'), 1e9, log).read() as { n: number }[];
    expect(read.length).toBeGreaterThan(10);
    expect(read.map(({ n }) => n)).toEqual(read.map((_, index) => index));
  });
});
