import { InterleaveError } from '@app/contracts';
import { Breaker } from './breaker';
import { StorageGuard, storageVerdict } from './storage-guard';

const errno = (code: string): Error => Object.assign(new Error(`${code}: /data/files`), { code, syscall: 'write' });
const fails = (error: Error) => (): Promise<never> => Promise.reject(error);

describe('StorageGuard', () => {
  let tried: number;
  let trial: () => Promise<void>;
  let guard: StorageGuard;

  beforeEach(() => {
    jest.useFakeTimers({ now: 0 });
    tried = 0;
    trial = () => Promise.resolve();
    const settings = { callsMax: 20, callsMin: 3, failureShare: 0.5, openMs: 1000, openMsMax: 4000 };
    guard = new StorageGuard({ kind: 'directory', address: '/data' }, new Breaker('storage', settings, storageVerdict), async () => {
      tried += 1;
      await trial();
    });
  });
  afterEach(() => jest.useRealTimers());

  const works = (): Promise<string> => guard.write(() => Promise.resolve('ok'));
  const breakIt = async (error: Error): Promise<void> => {
    for (let i = 0; i < 3; i++) await guard.write(fails(error)).catch(() => undefined);
  };

  it.each(['EIO', 'EROFS', 'ENOSPC'])('answers %s as 507 without the path, and refuses early after three', async (code) => {
    await expect(guard.write(fails(errno(code)))).rejects.toMatchObject({
      code: 'storage_full',
      message: `DATA_DIR cannot be written to: ${code}; look at its disk`,
    });
    await breakIt(errno(code));
    const work = jest.fn(() => Promise.resolve());
    await expect(guard.write(work)).rejects.toMatchObject({ status: 507, message: expect.stringMatching(/tried again in 1 s/) as string });
    expect(work).not.toHaveBeenCalled();
  });

  it('counts a bucket that is away, and refuses with 503 then', async () => {
    const settings = { callsMax: 20, callsMin: 3, failureShare: 0.5, openMs: 1000, openMsMax: 4000 };
    guard = new StorageGuard({ kind: 'bucket', address: 's3://b/' }, new Breaker('storage', settings, storageVerdict), () => trial());
    const away = new InterleaveError('storage_unavailable', 'away', { retryAfterSeconds: 5 });
    await breakIt(away);
    const work = jest.fn(() => Promise.resolve());
    await expect(guard.write(work)).rejects.toMatchObject({
      code: 'storage_unavailable',
      status: 503,
      retryAfterSeconds: 1,
      message: expect.stringMatching(/^The store s3:\/\/b\/ cannot be written to: .*tried again in 1 s$/) as string,
    });
    expect(work).not.toHaveBeenCalled();
  });

  it('tries a small write of its own, and takes work again once that succeeds', async () => {
    await breakIt(errno('EIO'));
    jest.setSystemTime(1000);
    trial = fails(errno('EIO'));
    await expect(works()).rejects.toMatchObject({ status: 507 });
    jest.setSystemTime(2999);
    await expect(works()).rejects.toMatchObject({ status: 507 });
    expect(tried).toBe(1);
    jest.setSystemTime(3000);
    trial = () => Promise.resolve();
    await expect(works()).resolves.toBe('ok');
    expect(tried).toBe(2);
  });

  it.each([
    ['a file that would not fit', new InterleaveError('storage_full', 'Not enough disk space')],
    ['a wrong form', new InterleaveError('invalid_request', 'purpose')],
    ['a sender that hangs up', Object.assign(new Error('aborted'), { code: 'ECONNRESET' })],
  ])('takes no notice of %s', async (_name, error) => {
    for (let i = 0; i < 30; i++) await expect(guard.write(fails(error))).rejects.toBe(error);
    await expect(works()).resolves.toBe('ok');
  });
});
