// The two 16-bit float formats of checkpoints, widened to float32 and narrowed from it.
//
//   F16   IEEE 754 binary16   1 sign, 5 exponent, 10 fraction bits    subnormals below 2^-14, steps of 2^-24
//   BF16  bfloat16            1 sign, 8 exponent,  7 fraction bits    the upper half of a float32
//
// Widening is exact. Narrowing rounds to nearest, ties to even, beyond the largest number to infinity. NaN stays NaN with
// its sign and the upper bits of its payload. All of it works on bits: a NaN that passes through a JavaScript number may
// lose its payload.

const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** F16 bits to float32 of equal length, exactly; into `values` where given. */
export function widenF16(halves: Uint16Array, values: Float32Array = new Float32Array(halves.length)): Float32Array {
  const bits = bitsOf(values);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 31) {
      bits[i] = sign | 0x7f800000 | (fraction << 13);
    } else if (exponent > 0) {
      bits[i] = sign | ((exponent + 112) << 23) | (fraction << 13); // 112 = 127 - 15, the difference of the biases
    } else if (fraction > 0) {
      const shift = Math.clz32(fraction) - 21; // brings the leading one to bit 10, where float32 leaves it out
      bits[i] = sign | ((113 - shift) << 23) | ((fraction << (shift + 13)) & 0x7fffff);
    } else {
      bits[i] = sign;
    }
  }
  return values;
}

/** float32 to F16 bits of equal length, rounded to nearest, ties to even. */
export function narrowF16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  const bits = bitsOf(values);
  for (let i = 0; i < values.length; i++) {
    const sign = (bits[i]! >>> 16) & 0x8000;
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude > 0x7f800000) {
      halves[i] = sign | 0x7c00 | ((magnitude >>> 13) & 0x3ff || 0x200); // a payload of zero would read as infinity
    } else if (magnitude >= 0x477ff000) {
      halves[i] = sign | 0x7c00; // from 65520 on, halfway between the largest F16 and 2^16
    } else if (magnitude >= 0x38800000) {
      halves[i] = sign | shiftRound(magnitude - (112 << 23), 13); // a carry out of the fraction raises the exponent
    } else if (magnitude >= 0x33000000) {
      halves[i] = sign | shiftRound((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >>> 23));
    } else {
      halves[i] = sign; // below 2^-25, half of the smallest F16
    }
  }
  return halves;
}

/** BF16 bits to float32 of equal length, exactly; into `values` where given. */
export function widenBF16(halves: Uint16Array, values: Float32Array = new Float32Array(halves.length)): Float32Array {
  const bits = bitsOf(values);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return values;
}

/** float32 to BF16 bits of equal length, rounded to nearest, ties to even. */
export function narrowBF16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  const bits = bitsOf(values);
  for (let i = 0; i < values.length; i++) {
    const word = bits[i]!;
    const notANumber = (word & 0x7fffffff) > 0x7f800000;
    // A NaN whose upper payload is zero would read as infinity.
    if (notANumber) halves[i] = (word & 0x7f0000) === 0 ? (word >>> 16) | 0x40 : word >>> 16;
    else halves[i] = shiftRound(word, 16);
  }
  return halves;
}

/**
 * A tensor's values in a 16-bit format, which must not make infinity of a finite one; `first` is the element that
 * `values` begin with.
 *
 * @throws RangeError that begins with `where`, such as the function and the tensor, if a value is too large.
 */
export function narrowTensor(where: string, dtype: 'F16' | 'BF16', values: Float32Array, first: number): Uint16Array {
  const halves = dtype === 'F16' ? narrowF16(values) : narrowBF16(values);
  const infinity = dtype === 'F16' ? 0x7c00 : 0x7f80;
  const lost = halves.findIndex((half, i) => (half & 0x7fff) === infinity && Number.isFinite(values[i]));
  if (lost < 0) return halves;
  throw new RangeError(
    `${where}: expected finite values within ${dtype}, got ${values[lost]} at element ${first + lost}; write it as F32`,
  );
}

/** The unsigned `word` / 2^shift, rounded to nearest, ties to even. */
function shiftRound(word: number, shift: number): number {
  const quotient = word >>> shift;
  const rest = word - quotient * 2 ** shift;
  const half = 2 ** (shift - 1);
  return rest > half || (rest === half && quotient & 1) ? quotient + 1 : quotient;
}
