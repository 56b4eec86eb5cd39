/** Stands for what is not known. */
export const UNKNOWN = '–';

const NARROW_SPACE = '\u202f';

/** A number beside its unit, which pages show in different sizes. */
export interface Quantity {
  value: string;
  unit: string;
}

const number = (value: number, digits: number): string =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }).replaceAll(',', NARROW_SPACE);

export const count = (value: number | null): string => (value === null ? UNKNOWN : number(value, 0));

/** Two significant digits below ten, whole numbers above. */
export function decimal(value: number | null): string {
  if (value === null) return UNKNOWN;
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 1) return number(value, 2);
  return number(value, size < 10 ? 1 : 0);
}

/** Milliseconds in the unit that reads best. */
export function duration(ms: number | null): Quantity {
  if (ms === null) return { value: UNKNOWN, unit: '' };
  if (ms < 1_000) return { value: decimal(ms), unit: 'ms' };
  if (ms < 100_000) return { value: decimal(ms / 1_000), unit: 's' };
  if (ms < 2 * 3_600_000) return { value: number(ms / 60_000, 0), unit: 'min' };
  if (ms < 48 * 3_600_000) return { value: number(ms / 3_600_000, 0), unit: 'h' };
  return { value: number(ms / 86_400_000, 0), unit: 'days' };
}

/** A share from 0 to 1 as per cent. */
export function percent(share: number | null): Quantity {
  if (share === null) return { value: UNKNOWN, unit: '' };
  const value = share * 100;
  if (value > 0 && value < 0.1) return { value: '<0.1', unit: '%' };
  return { value: number(value, value > 0 && value < 1 ? 1 : 0), unit: '%' };
}

export function perSecond(value: number | null, what = ''): Quantity {
  return { value: decimal(value), unit: value === null ? '' : `${what}/s` };
}

export function bytes(value: number | null): Quantity {
  if (value === null) return { value: UNKNOWN, unit: '' };
  const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), steps.length - 1);
  return { value: decimal(value / 2 ** (10 * step)), unit: steps[step] ?? '' };
}

/** How often one value is in another: `1.04×`. */
export const times = (ratio: number | null): Quantity => ({ value: ratio === null ? UNKNOWN : `${number(ratio, 2)}×`, unit: '' });

export const text = ({ value, unit }: Quantity): string => (unit === '' ? value : `${value}${NARROW_SPACE}${unit}`);

/** `3 min ago`. */
export function ago(atMs: number, nowMs: number): string {
  const passed = Math.max(0, nowMs - atMs);
  return passed < 2_000 ? 'just now' : `${text(duration(passed))} ago`;
}

/** In words for a time to come, as of a batch. */
export const left = (seconds: number | null): string => (seconds === null ? UNKNOWN : text(duration(seconds * 1_000)));

/** Of what is over, to the second. */
export function took(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const twoDigits = (value: number): string => String(value).padStart(2, '0');

/** By the clock of the browser. */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  return `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}:${twoDigits(at.getSeconds())}`;
}

export function day(atMs: number): string {
  return new Date(atMs).toLocaleDateString('en', { weekday: 'long', day: 'numeric', month: 'long' });
}

export function dateTime(atMs: number): string {
  const at = new Date(atMs);
  return `${at.toLocaleDateString('en', { day: 'numeric', month: 'short' })}, ${clock(atMs)}`;
}

/** `1 chunk`, `2 chunks`. */
export const counted = (value: number, one: string, several = `${one}s`): string => `${count(value)} ${value === 1 ? one : several}`;

/** With ids of batches cut to their end: those that were made soon after each other begin alike. */
export const shortIds = (sentence: string): string =>
  sentence.replaceAll(/\b(Batch )?batch_\w{8,}(\w{6})\b/g, (_whole, word: string | undefined, end: string) => `${word ?? 'batch '}…${end}`);
