/** An exact fraction. The denominator is positive; the fraction need not be in lowest terms. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** a/b = c/d exactly: a d = c b. */
export function rationalEqual(a: Rational, b: Rational): boolean {
  return a.numerator * b.denominator === b.numerator * a.denominator;
}

/** a/b · c/d. */
export function rationalTimes(a: Rational, b: Rational): Rational {
  return { numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator };
}

/** (a/b) / (c/d), or undefined when c = 0. */
export function rationalOver(a: Rational, b: Rational): Rational | undefined {
  if (b.numerator === 0n) return undefined;
  const sign = b.numerator < 0n ? -1n : 1n;
  return { numerator: sign * a.numerator * b.denominator, denominator: sign * a.denominator * b.numerator };
}

/** Powers with more digits than this are not worked out. */
const digitLimit = 1000;

/**
 * base^exponent for whole numbers, or undefined for 0^0, for 0 to a negative power, and where the result would have
 * more than about 1,000 digits, so that 9^{999999999} costs nothing.
 */
export function rationalPower(base: bigint, exponent: bigint): Rational | undefined {
  if (base === 0n && exponent <= 0n) return undefined;
  const size = exponent < 0n ? -exponent : exponent;
  if (BigInt(base.toString().length) * size > BigInt(digitLimit)) return undefined;
  const power = base ** size;
  return exponent < 0n
    ? rationalOver({ numerator: 1n, denominator: 1n }, { numerator: power, denominator: 1n })
    : { numerator: power, denominator: 1n };
}
