const DIGITS = 4;

/** More digits are not known, and would make a part look changed. */
export function rounded(value: number): number;
export function rounded(value: number | null): number | null;
export function rounded(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(DIGITS));
}

/** Of a share: a part of a thousand. */
export const roundedShare = (share: number): number => Math.round(share * 1000) / 1000;
