const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];
const ROUNDED = { nearest: Math.round, up: Math.ceil, down: Math.floor };

/**
 * For people: `512 bytes`, `1.5 KiB`, `64 MiB`. What is needed is rounded `up` and what there is `down`: the smaller of both never reads
 * like the other one, and who makes as much room as the text says has enough.
 */
export function byteText(bytes: number, rounding: keyof typeof ROUNDED = 'nearest'): string {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  const tenthsOf = (unitBytes: number): number => ROUNDED[rounding]((bytes * 10) / unitBytes);
  let unit = 0;
  while (tenthsOf(1024 ** (unit + 1)) >= 10_240 && unit < UNITS.length - 1) unit += 1;
  return `${tenthsOf(1024 ** (unit + 1)) / 10} ${UNITS[unit]}`;
}
