/** What is not known. */
export const UNKNOWN = '–';

/** Three digits, with a comma between thousands. */
export function number(value: number | null): string {
  if (value === null) return UNKNOWN;
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

export const percent = (share: number | null): string => (share === null ? UNKNOWN : `${Math.round(share * 100)} %`);

export function milliseconds(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  return ms >= 10_000 ? seconds(ms / 1000) : `${number(ms)} ms`;
}

export function seconds(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value < 120) return `${Math.round(value)} s`;
  const minutes = Math.round(value / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

/** Local time of day. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
