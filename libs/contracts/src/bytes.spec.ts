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
});
