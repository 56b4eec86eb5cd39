const WINDOW = /^([1-9]\d{0,4})([mhd])$/;
const UNIT_SECONDS: Record<string, number> = { m: 60, h: 3_600, d: 86_400 };
const SECONDS_MAX = 30 * 86_400;

export const WINDOW_EXPECTED = 'minutes, hours or days from "1m" to "30d", as in "24h"';

/** Null: not `WINDOW_EXPECTED`. */
export function windowSeconds(value: unknown): number | null {
  const [, count, unit = ''] = (typeof value === 'string' ? WINDOW.exec(value) : null) ?? [];
  if (count === undefined) return null;
  const seconds = Number(count) * (UNIT_SECONDS[unit] ?? Infinity);
  return seconds <= SECONDS_MAX ? seconds : null;
}
