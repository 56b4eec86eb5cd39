import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { kernelLockFree, tryKernelLock } from './kernel-lock';

describe('kernel locks', () => {
  const subject = `spec-${process.pid}`;
  const hasResolved = async (waiting: Promise<void>): Promise<boolean> =>
    Promise.race([waiting.then(() => true), sleep(50).then(() => false)]);

  it('have one holder until it gives them back, and tell who waits', async () => {
    const lock = await tryKernelLock('spec', subject);
    expect(lock).not.toBeNull();
    expect(await tryKernelLock('spec', subject)).toBeNull();
    const waiting = [kernelLockFree('spec', subject), kernelLockFree('spec', subject)];
    expect(await hasResolved(Promise.race(waiting))).toBe(false);
    lock?.close();
    await Promise.all(waiting);
    const next = await tryKernelLock('spec', subject);
    expect(next).not.toBeNull();
    next?.close();
  });

  it('are free where nobody has them', async () => {
    await kernelLockFree('spec', `${subject} nobody`);
  });

  it('are free when their holder was killed', async () => {
    const register = require.resolve('../../../test/fixtures/register-ts.cjs');
    const lockFile = JSON.stringify(require.resolve('./kernel-lock.ts'));
    const hold = `require(${lockFile}).tryKernelLock('spec', 'child')`;
    const script = `${hold}.then(() => { console.log('held'); setInterval(() => 0, 1000); })`;
    const child = spawn(process.execPath, ['--require', register, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const waiting = kernelLockFree('spec', 'child');
    expect(await hasResolved(waiting)).toBe(false);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await Promise.all([waiting, exited]);
    const lock = await tryKernelLock('spec', 'child');
    expect(lock).not.toBeNull();
    lock?.close();
  });
});
