import { ago, bytes, count, counted, decimal, duration, left, percent, shortIds, text, times, took } from './format';

const NARROW_SPACE = '\u202f';

describe('numbers on the page', () => {
  it.each([
    [0, '0'],
    [0.034, '0.03'],
    [4.25, '4.3'],
    [18.4, '18'],
    [1234.6, `1${NARROW_SPACE}235`],
    [null, '–'],
  ])('%p reads %p', (value, expected) => expect(decimal(value)).toBe(expected));

  it.each([
    [18.2, '18 ms'],
    [950, '950 ms'],
    [1_500, '1.5 s'],
    [75_000, '75 s'],
    [600_000, '10 min'],
    [3 * 3_600_000, '3 h'],
    [72 * 3_600_000, '3 days'],
    [null, '–'],
  ])('%p ms read %p', (ms, expected) => expect(text(duration(ms))).toBe(expected.replace(' ', NARROW_SPACE)));

  it('says shares, sizes and ratios with their unit', () => {
    expect([percent(0.614), percent(0.004), percent(0.0001), percent(0), percent(null)].map(text)).toEqual(
      ['61 %', '0.4 %', '<0.1 %', '0 %', '–'].map((each) => each.replace(' ', NARROW_SPACE)),
    );
    expect([bytes(0), bytes(2048), bytes(3.5 * 2 ** 30)].map(text)).toEqual(
      ['0 B', '2.0 KiB', '3.5 GiB'].map((each) => each.replace(' ', NARROW_SPACE)),
    );
    expect(text(times(1.042))).toBe('1.04×');
  });

  it('says times that were and that will be', () => {
    expect([ago(1_000, 1_500), ago(0, 120_000)]).toEqual(['just now', `2${NARROW_SPACE}min ago`]);
    expect([left(null), left(90)]).toEqual(['–', `90${NARROW_SPACE}s`]);
  });

  it('says how long something took in whole seconds', () => {
    expect([400, 59_400, 59_700, 119_800, 7_265_000].map(took)).toEqual(['0 s', '59 s', '1 min 0 s', '2 min 0 s', '121 min 5 s']);
  });

  it('cuts ids', () => {
    expect(shortIds('Batch batch_0mx2f6yrjbsy1jm5yb1fihxbtjyiwch9 began.')).toBe('Batch …yiwch9 began.');
    expect(shortIds('batch_0mx2f6yrjbsy1jm5yb1fihxbtjyiwch9')).toBe('batch …yiwch9');
    expect(shortIds('batch_1 and default-batch')).toBe('batch_1 and default-batch');
  });

  it('counts in words', () => {
    expect([counted(1, 'chunk'), counted(2, 'chunk'), counted(2, 'batch', 'batches')]).toEqual(['1 chunk', '2 chunks', '2 batches']);
    expect(count(12_345)).toBe(`12${NARROW_SPACE}345`);
  });
});
