import { BadTable } from './table-task';

const MS_PER_DAY = 86_400_000n;
const SECONDS_PER_DAY = 86_400n;
/** Years that have four digits. */
const DAYS = { min: -719_162n, max: 2_932_896n };

/** A 128-bit number of Arrow, least significant word first, with its decimal point. */
export function decimalText(words: Uint32Array, scale: number): string {
  const unsigned = Array.from(words).reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  const value = BigInt.asIntN(words.length * 32, unsigned);
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const sign = value < 0n ? '-' : '';
  return scale <= 0 ? `${sign}${digits}${'0'.repeat(-scale)}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Days since 1970 as `2024-02-29`. */
export function dateText(days: bigint): string {
  if (days < DAYS.min || days > DAYS.max) throw new BadTable(`Expected a date of the years 1 to 9999 but received day ${days} from 1970.`);
  return new Date(Number(days * MS_PER_DAY)).toISOString().slice(0, 10);
}

/** A time since 1970 without a time zone, with all its digits. */
export function timestampText(value: bigint, perSecond: bigint): string {
  const perDay = perSecond * SECONDS_PER_DAY;
  const rest = ((value % perDay) + perDay) % perDay;
  const [seconds, fraction] = [rest / perSecond, rest % perSecond];
  const two = (part: bigint): string => part.toString().padStart(2, '0');
  const time = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  const digits = perSecond.toString().length - 1;
  return `${dateText((value - rest) / perDay)} ${time}${digits === 0 ? '' : `.${fraction.toString().padStart(digits, '0')}`}`;
}
