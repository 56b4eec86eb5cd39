import { grantOf } from './keys';

const NOW_MS = 1_800_000_000_000;
const OPTIONS = { tenant: 'acme' };

describe('interleave keys add', () => {
  it('grants everything but operation, for ever, where nothing is said', () => {
    expect(grantOf(OPTIONS, NOW_MS)).toEqual({
      name: null,
      tenant: 'acme',
      models: null,
      lanes: ['realtime', 'batch'],
      isOperator: false,
      expiresAt: null,
    });
  });

  it('leaves share and weight of the tenant as they are, or says what they are', () => {
    expect(grantOf(OPTIONS, NOW_MS)).not.toHaveProperty('weight');
    expect(grantOf({ ...OPTIONS, share: 'none' }, NOW_MS).shareMsPerSecond).toBeNull();
  });

  it('takes what is said', () => {
    const said = { models: 'a, org/b,a', lanes: 'batch', share: '250.5', weight: '3', expires: '12h', operator: true, name: 'nightly' };
    expect(grantOf({ ...OPTIONS, ...said }, NOW_MS)).toEqual({
      name: 'nightly',
      tenant: 'acme',
      models: ['a', 'org/b'],
      lanes: ['batch'],
      shareMsPerSecond: 250.5,
      weight: 3,
      isOperator: true,
      expiresAt: 1_800_000_000 + 43_200,
    });
  });

  it.each([
    [{ tenant: '' }, /^--tenant: expected/],
    [{ tenant: 'a b' }, /^--tenant: expected/],
    [{ tenant: '../x' }, /^--tenant: expected/],
    [{ tenant: 'x'.repeat(65) }, /^--tenant: expected/],
    [{ models: '' }, /^--models: /],
    [{ models: 'a,,b' }, /^--models: /],
    [{ lanes: 'live' }, /^--lanes: .*"realtime"\|"batch"/],
    [{ share: '0' }, /^--share: /],
    [{ share: '-1' }, /^--share: /],
    [{ share: 'much' }, /^--share: expected milliseconds/],
    [{ share: '' }, /^--share: expected milliseconds/],
    [{ share: '1e-300' }, /^--share: expected milliseconds per second from 0.001/],
    [{ weight: '0' }, /^--weight: expected a number from 0.001 to 1000/],
    [{ weight: '5e-324' }, /^--weight: expected a number from 0.001/],
    [{ weight: '0.0009' }, /^--weight: expected/],
    [{ weight: 'Infinity' }, /^--weight: /],
    [{ weight: '1001' }, /^--weight: /],
    [{ expires: '0d' }, /^--expires: expected a time as in 30d/],
    [{ expires: '30' }, /^--expires: expected/],
    [{ expires: '4000d' }, /^--expires: expected/],
    [{ expires: '-1d' }, /^--expires: expected/],
    [{ name: 'x'.repeat(129) }, /^--name: /],
  ])('refuses %j', (options, message) => {
    expect(() => grantOf({ ...OPTIONS, ...options }, NOW_MS)).toThrow(message);
  });
});
