const view = new DataView(new ArrayBuffer(8));

/** A binary floating point format of 16 bits. */
interface Format {
  mantissaBits: number;
  /** Smallest exponent of normal numbers. */
  exponentMin: number;
  infinityBits: number;
}

const FLOAT16: Format = { mantissaBits: 10, exponentMin: -14, infinityBits: 0x7c00 };
const BFLOAT16: Format = { mantissaBits: 7, exponentMin: -126, infinityBits: 0x7f80 };

/** The value of IEEE 754 half precision bits. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** The value of bfloat16 bits, the upper half of a single precision number. */
export function bfloat16ToNumber(bits: number): number {
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
}

/** Half precision bits of a value, rounded to nearest, ties to even; what is too large becomes infinity. */
export function numberToFloat16(value: number): number {
  return toBits(value, FLOAT16);
}

/** bfloat16 bits of a value, rounded to nearest, ties to even; what is too large becomes infinity. */
export function numberToBfloat16(value: number): number {
  return toBits(value, BFLOAT16);
}

/** Rounds once, from the double itself: by way of single precision some values would be rounded twice. */
function toBits(value: number, { mantissaBits, exponentMin, infinityBits }: Format): number {
  view.setFloat64(0, value);
  const high = view.getUint32(0);
  const sign = (high >>> 16) & 0x8000;
  if (Number.isNaN(value)) return infinityBits | (1 << (mantissaBits - 1));
  const exponent = Math.max(((high >>> 20) & 0x7ff) - 1023, exponentMin);
  if (exponent > 127) return sign | infinityBits;
  // In units of the last place: exact, because only the exponent changes.
  const units = roundToEven(Math.abs(value) * 2 ** (mantissaBits - exponent));
  // A carry runs into the exponent, which is what is wanted; below the normal numbers there is no hidden bit to add to it.
  const bits = ((exponent - exponentMin) << mantissaBits) + units;
  return sign | Math.min(bits, infinityBits);
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
