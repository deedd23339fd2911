import { type Rational, rationalOver, rationalTimes } from '../rational.js';

/** A complex number in double precision; `error` bounds how far off rounding may have taken it. */
export interface Approximate {
  readonly re: number;
  readonly im: number;
  readonly error: number;
}

/** What an expression comes to: exactly where it is rational, else in double precision. */
export type Value = Rational | Approximate;

/** Exact numbers with more bits than this become approximate. */
const bitLimit = 16_384;
const unit = 2 ** -52;

export const isExact = (value: Value): value is Rational => 'numerator' in value;
export const integer = (n: bigint | number): Rational => ({ numerator: BigInt(n), denominator: 1n });

/** The length of |n| in binary. */
function bits(n: bigint): number {
  const hexadecimal = (n < 0n ? -n : n).toString(16);
  return hexadecimal.length * 4 - (Math.clz32(Number.parseInt(hexadecimal[0]!, 16)) - 28);
}

/** n / d in double precision, also where neither fits a double. */
function ratio({ numerator, denominator }: Rational): number {
  const direct = Number(numerator) / Number(denominator);
  if (Number.isFinite(direct) && (direct !== 0 || numerator === 0n)) return direct;
  const shift = bits(numerator) - bits(denominator);
  const scaled =
    shift > 0
      ? Number((numerator << 64n) / (denominator << BigInt(shift)))
      : Number((numerator << BigInt(64 - shift)) / denominator);
  return (scaled / 2 ** 64) * 2 ** shift;
}

/** A value as a double, undefined where it is not finite. */
export function approximate(value: Value): Approximate | undefined {
  if (!isExact(value)) return finite(value.re, value.im, value.error);
  const re = ratio(value);
  return finite(re, 0, Math.abs(re) * unit);
}

function finite(re: number, im: number, error: number): Approximate | undefined {
  return Number.isFinite(re) && Number.isFinite(im) && Number.isFinite(error) ? { re, im, error } : undefined;
}

const size = (a: Approximate) => Math.hypot(a.re, a.im);

/** A result with the error that came in and that of its own rounding. */
function rounded(re: number, im: number, inherited: number, steps = 4): Approximate | undefined {
  return finite(re, im, inherited + steps * unit * Math.hypot(re, im));
}

type Unary = (a: Approximate) => Approximate | undefined;
type Binary = (a: Approximate, b: Approximate) => Approximate | undefined;

const addApproximate: Binary = (a, b) =>
  finite(a.re + b.re, a.im + b.im, a.error + b.error + unit * (size(a) + size(b)));

const timesApproximate: Binary = (a, b) =>
  rounded(
    a.re * b.re - a.im * b.im,
    a.re * b.im + a.im * b.re,
    size(a) * b.error + size(b) * a.error + a.error * b.error,
  );

const overApproximate: Binary = (a, b) => {
  const [above, below] = [size(a), size(b)];
  if (below <= 2 * b.error) return undefined;
  const scale = below * below;
  return rounded(
    (a.re * b.re + a.im * b.im) / scale,
    (a.im * b.re - a.re * b.im) / scale,
    (2 * (a.error + (above / below) * b.error)) / below,
  );
};

function both(a: Value, b: Value, operation: Binary): Value | undefined {
  const [x, y] = [approximate(a), approximate(b)];
  return x && y && operation(x, y);
}

const fits = (value: Rational | undefined) =>
  value !== undefined && bits(value.numerator) + bits(value.denominator) <= bitLimit ? value : undefined;

/** a + b. */
export function plus(a: Value, b: Value): Value | undefined {
  if (isExact(a) && isExact(b)) {
    const sum =
      a.denominator === b.denominator
        ? { numerator: a.numerator + b.numerator, denominator: a.denominator }
        : {
            numerator: a.numerator * b.denominator + b.numerator * a.denominator,
            denominator: a.denominator * b.denominator,
          };
    if (fits(sum)) return sum;
  }
  return both(a, b, addApproximate);
}

/** a b. */
export function times(a: Value, b: Value): Value | undefined {
  return (isExact(a) && isExact(b) && fits(rationalTimes(a, b))) || both(a, b, timesApproximate);
}

/** a / b, undefined where b is 0. */
export function over(a: Value, b: Value): Value | undefined {
  if (isExact(b) && b.numerator === 0n) return undefined;
  return (isExact(a) && isExact(b) && fits(rationalOver(a, b))) || both(a, b, overApproximate);
}

export const minus = (a: Value, b: Value): Value | undefined => {
  const opposite = times(integer(-1), b);
  return opposite && plus(a, opposite);
};

export const expApproximate: Unary = (a) => {
  const scale = Math.exp(a.re);
  return rounded(
    scale * Math.cos(a.im),
    a.im === 0 ? 0 : scale * Math.sin(a.im),
    scale * Math.min(2, 2 * a.error),
    4 + Math.abs(a.im) + Math.abs(a.re),
  );
};

/** The principal logarithm. */
export const logApproximate: Unary = (a) => {
  const length = size(a);
  if (length <= 2 * a.error) return undefined;
  const re = Math.log(length);
  return finite(re, Math.atan2(a.im, a.re), (2 * a.error) / length + 4 * unit * (1 + Math.abs(re)));
};

/** The whole root of a whole number, or undefined where there is none. */
function wholeRoot(n: bigint, degree: bigint): bigint | undefined {
  if (n < 2n) return n;
  if (degree > BigInt(bits(n))) return undefined;
  let guess = 1n << (BigInt(bits(n)) / degree + 1n); // above the root; Newton's steps come down to it
  for (;;) {
    const next = ((degree - 1n) * guess + n / guess ** (degree - 1n)) / degree;
    if (next >= guess) break;
    guess = next;
  }
  return guess ** degree === n ? guess : undefined;
}

function lowestTerms({ numerator, denominator }: Rational): Rational {
  let [a, b] = [numerator < 0n ? -numerator : numerator, denominator];
  while (b !== 0n) [a, b] = [b, a % b];
  return { numerator: numerator / a, denominator: denominator / a };
}

/** base^exponent of exact numbers where that is rational and not too long. */
function exactPower(base: Rational, exponent: Rational): Rational | undefined {
  if (bits(exponent.numerator) + bits(exponent.denominator) > 1024) return undefined;
  const { numerator: p, denominator: q } = lowestTerms(exponent);
  if (base.numerator === 0n) return p > 0n ? base : undefined;
  const [length, power] = [Math.max(bits(base.numerator), bits(base.denominator)), p < 0n ? -p : p];
  const unitBase = base.denominator === 1n && (base.numerator === 1n || base.numerator === -1n);
  if (!unitBase && BigInt(length) * power > BigInt(bitLimit)) return undefined;
  let root: Rational = base;
  if (q !== 1n) {
    if (q > 64n || length > 512 || (base.numerator < 0n && q % 2n === 0n)) return undefined;
    const lowest = lowestTerms(base);
    const sign = lowest.numerator < 0n ? -1n : 1n;
    const above = wholeRoot(sign * lowest.numerator, q);
    const below = wholeRoot(lowest.denominator, q);
    if (above === undefined || below === undefined) return undefined;
    root = { numerator: sign * above, denominator: below };
  }
  const turn = unitBase && q === 1n ? power % 2n : power; // (-1)^n however large n is
  const raised = { numerator: root.numerator ** turn, denominator: root.denominator ** turn };
  return p < 0n ? rationalOver(integer(1), raised) : raised;
}

/**
 * base^exponent: the real root of a negative number where the exponent has an odd denominator, else the principal
 * power; undefined for 0^0, 0 to a negative power, and what no double can hold.
 */
export function raise(base: Value, exponent: Value): Value | undefined {
  if (isExact(base) && isExact(exponent)) {
    const exact = exactPower(base, exponent);
    if (exact) return exact;
    if (base.numerator === 0n) return undefined;
  }
  const [a, b] = [approximate(base), approximate(exponent)];
  if (!a || !b) return undefined;
  if (size(a) === 0) return b.re > 0 && b.im === 0 ? integer(0) : undefined;
  if (isExact(exponent) && a.im === 0 && a.re < 0 && bits(exponent.denominator) < 64) {
    const { numerator: p, denominator: q } = lowestTerms(exponent);
    if (q % 2n === 1n) {
      const positive = raiseApproximate({ ...a, re: -a.re }, b);
      return positive && (p % 2n === 0n ? positive : { ...positive, re: -positive.re, im: -positive.im });
    }
  }
  return raiseApproximate(a, b);
}

const raiseApproximate: Binary = (a, b) => {
  if (a.im === 0 && b.im === 0 && a.re > 0) {
    const power = a.re ** b.re;
    const spread = Math.abs(b.re) * (a.error / a.re) + Math.abs(Math.log(a.re)) * b.error;
    return rounded(power, 0, 2 * Math.abs(power) * spread, 4);
  }
  const logarithm = logApproximate(a);
  const product = logarithm && timesApproximate(logarithm, b);
  return product && expApproximate(product);
};

/** Whether two values are equal: exactly, or as closely as rounding allows where that is close. */
export function sameValue(a: Value, b: Value): boolean {
  if (isExact(a) && isExact(b)) return a.numerator * b.denominator === b.numerator * a.denominator;
  const [x, y] = [approximate(a), approximate(b)];
  if (!x || !y) return false;
  const error = x.error + y.error;
  if (error > Math.max(1e-9 * Math.max(size(x), size(y)), 1e-12)) return false; // too coarse to tell
  return Math.hypot(x.re - y.re, x.im - y.im) <= 4 * error;
}

/** A value as a real number, or undefined where it is not one. */
export function real(value: Value): number | undefined {
  const a = approximate(value);
  return a && Math.abs(a.im) <= 4 * a.error ? a.re : undefined;
}
