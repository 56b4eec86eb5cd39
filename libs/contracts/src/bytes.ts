const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];

/** For people: `512 bytes`, `1.5 KiB`, `64 MiB`. */
export function byteText(bytes: number): string {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  let size = bytes / 1024;
  let unit = 0;
  for (; size >= 1023.95 && unit < UNITS.length - 1; unit += 1) size /= 1024;
  return `${Number(size.toFixed(1))} ${UNITS[unit]}`;
}
