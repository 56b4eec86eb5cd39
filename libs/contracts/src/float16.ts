const view = new DataView(new ArrayBuffer(4));

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
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
  const mantissa = bits & 0x7fffff;
  if (exponent >= 31) return sign | (Number.isNaN(value) ? 0x7e00 : 0x7c00);
  if (exponent >= 1) return sign | roundShift((exponent << 23) | mantissa, 13);
  return exponent < -10 ? sign : sign | roundShift(mantissa | 0x800000, 14 - exponent);
}

/** `bits >> shift`, rounded to nearest, ties to even. A carry runs into the exponent, which is what is wanted. */
function roundShift(bits: number, shift: number): number {
  const kept = bits >>> shift;
  const rest = bits & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
