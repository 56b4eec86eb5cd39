import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { inScratchFolder, removeOnSignal, removeScratchFolder } from './scratch-folder';

const MODULE = join(__dirname, 'scratch-folder.ts');

describe('a scratch folder', () => {
  it('goes when its use is over or failed, and the process listens for signals no longer', async () => {
    const before = process.listenerCount('SIGTERM');
    const [folder, other] = await inScratchFolder('test', (one) =>
      inScratchFolder('test', (two) => {
        expect([one, two].map((path) => existsSync(path))).toEqual([true, true]);
        return Promise.resolve([one, two]);
      }),
    );
    const failing = inScratchFolder('test', (path) => Promise.reject(new Error(path)));
    const failed = await failing.catch((error: Error) => error.message);
    expect([folder, other, failed].map((path) => existsSync(path ?? '/'))).toEqual([false, false, false]);
    expect(process.listenerCount('SIGTERM')).toBe(before);
  });

  it('is not named in errors about what is linked there', async () => {
    const failing = inScratchFolder('test', (outer) => {
      symlinkSync('/models/bert', join(outer, 'model'));
      symlinkSync('/models/other', join(outer, 'model-2'));
      return inScratchFolder('test', (inner) => {
        mkdirSync(join(inner, 'below'));
        symlinkSync(join(outer, 'model', '1'), join(inner, 'below', '1'));
        return Promise.reject(new Error(`${inner}/below/1/model.onnx beside "${outer}/model-2"`));
      });
    });
    await expect(failing).rejects.toThrow('/models/bert/1/model.onnx beside "/models/other"');
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('goes with %s, and so does a folder that is made elsewhere', async (signal, exitCode) => {
    const aside = mkdtempSync(join(tmpdir(), 'aside-'));
    const script =
      `const scratch = require(${JSON.stringify(MODULE)}); scratch.removeOnSignal(${JSON.stringify(aside)}); ` +
      `scratch.inScratchFolder('test', (folder) => { console.log(folder); return new Promise(() => setInterval(() => 0, 1000)); });`;
    const child = spawn(process.execPath, ['--require', resolve('test/fixtures/register-ts.cjs'), '--eval', script]);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const folder = line.toString().trim();
    expect([folder, aside].map((path) => existsSync(path))).toEqual([true, true]);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([exitCode, null]);
    expect([folder, aside].map((path) => existsSync(path))).toEqual([false, false]);
  });

  it('may be named before it is there', () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'later-')), 'made');
    removeOnSignal(folder);
    mkdirSync(folder);
    removeScratchFolder(folder);
    expect(existsSync(folder)).toBe(false);
    rmSync(join(folder, '..'), { recursive: true });
  });
});
