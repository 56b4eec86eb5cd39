import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { transformFileSync } from '@swc/core';

/** In a process of its own, whose thread pool has not been used yet. */
const SCRIPT = `
  const module_ = { exports: {} };
  new Function('exports', 'require', process.argv[1])(module_.exports, require);
  const { lowerThreadPool } = module_.exports;
  const { readdirSync, readFile } = require('node:fs');
  const { getPriority } = require('node:os');
  lowerThreadPool().then((threads) => readFile('/proc/self/stat', () => {
    const lowered = readdirSync('/proc/self/task').filter((id) => getPriority(Number(id)) === 10);
    console.log(JSON.stringify({ threads, lowered: lowered.length, own: getPriority(process.pid) - getPriority(process.ppid) }));
  }));
`;

describe('lowerThreadPool', () => {
  it('lowers the threads of the pool, all of them, and no other', () => {
    const { code } = transformFileSync(join(__dirname, 'thread-pool.ts'), {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'commonjs' },
    });
    const printed = execFileSync(process.execPath, ['-e', SCRIPT, code], { encoding: 'utf8' });
    expect(JSON.parse(printed)).toEqual({ threads: 4, lowered: 4, own: 0 });
  });
});
