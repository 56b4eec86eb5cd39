import { byteText } from './bytes';

describe('byteText', () => {
  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [1023, '1023 bytes'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 * 1024 - 1, '1 MiB'],
    [64 * 2 ** 20, '64 MiB'],
    [20_000_000, '19.1 MiB'],
    [8 * 2 ** 30, '8 GiB'],
    [2 ** 60, '1048576 TiB'],
  ])('%i: %s', (bytes, text) => {
    expect(byteText(bytes)).toBe(text);
  });

  it.each([
    [1023, '1023 bytes', '1023 bytes'],
    [1024, '1 KiB', '1 KiB'],
    [1025, '1.1 KiB', '1 KiB'],
    [1.24 * 2 ** 30, '1.3 GiB', '1.2 GiB'],
    [1024 * 1024 - 1, '1 MiB', '1023.9 KiB'],
    [64 * 2 ** 20, '64 MiB', '64 MiB'],
    [1_000_000, '976.6 KiB', '976.5 KiB'],
  ])('%d: at least %s are needed, %s are there', (bytes, up, down) => {
    expect([byteText(bytes, 'up'), byteText(bytes, 'down')]).toEqual([up, down]);
  });
});
