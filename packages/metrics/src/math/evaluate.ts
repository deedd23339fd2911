import { some, type Tree } from './tree.js';
import {
  type Approximate,
  approximate,
  expApproximate,
  integer,
  isExact,
  logApproximate,
  minus,
  over,
  plus,
  raise,
  real,
  times,
  type Value,
} from './value.js';

/** Values for the free names. */
export type Point = ReadonlyMap<string, Value>;

/** Factorials and binomials of more than this are not worked out. */
const factorialLimit = 500;

const unit = 2 ** -52;
const zero = integer(0);
const imaginary: Approximate = { re: 0, im: 1, error: 0 };

/**
 * What an expression comes to with values for its names, or undefined where it has no value, is too large, or is no
 * expression. The cost is bounded by the size of the tree: long numbers become doubles.
 */
export function evaluate(tree: Tree, point: Point): Value | undefined {
  if (tree.kind === 'number') return tree.value;
  if (tree.kind === 'symbol') return point.get(tree.name);
  if (tree.kind !== 'call') return undefined;
  const { name, items } = tree;
  if (name === 'unit' || name === 'degree') return evaluate(items[0]!, point);
  if (Object.hasOwn(trigonometry, name) && some(items[0]!, isAngle)) {
    const degrees = evaluate(items[0]!, point);
    return degrees && applyFunction(name, [times(over(degrees, integer(180))!, constant(Math.PI))!]);
  }
  const values: Value[] = [];
  for (const item of items) {
    const value = evaluate(item, point);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return applyFunction(name, values);
}

const isAngle = (tree: Tree) => tree.kind === 'call' && tree.name === 'degree';
const constant = (re: number): Approximate => ({ re, im: 0, error: unit * re });

function applyFunction(name: string, values: readonly Value[]): Value | undefined {
  const [a, b] = values;
  switch (name) {
    case '+':
      return values.reduce<Value | undefined>((sum, value) => sum && plus(sum, value), zero);
    case '*':
      return values.reduce<Value | undefined>((product, value) => product && times(product, value), integer(1));
    case '/':
      return over(a!, b!);
    case '^':
      return raise(a!, b!);
    case 'neg':
      return times(integer(-1), a!);
    case '%':
      return over(a!, integer(100));
    case '!':
      return factorial(a!);
    case 'binomial':
      return binomial(a!, b!);
    case 'pi':
      return constant(Math.PI);
    case 'e':
      return constant(Math.E);
    case 'i':
      return imaginary;
    case 'abs':
      return absolute(a!);
    case 'floor':
    case 'ceil':
      return rounded(a!, name);
    case 'max':
    case 'min':
      return extreme(values, name);
    case 'gcd':
      return values.reduce<Value | undefined>((divisor, value) => divisor && commonDivisor(divisor, value), zero);
    case 'lcm':
      return values.reduce<Value | undefined>(
        (multiple, value) => multiple && commonMultiple(multiple, value),
        integer(1),
      );
    case 'log': {
      const [x, base] = [naturalLog(a!), naturalLog(b!)];
      return x && base && over(x, base);
    }
    case 'ln':
      return naturalLog(a!);
    case 'exp':
      return raise(constant(Math.E), a!);
  }
  return Object.hasOwn(trigonometry, name) ? trigonometry[name]!(a!) : inverse(name, a!);
}

function naturalLog(a: Value): Value | undefined {
  if (isExact(a) && a.numerator === a.denominator) return zero;
  const x = approximate(a);
  return x && logApproximate(x);
}

function smallWhole(a: Value): number | undefined {
  if (!isExact(a) || a.numerator % a.denominator !== 0n) return undefined;
  const n = Number(a.numerator / a.denominator);
  return n >= 0 && n <= factorialLimit ? n : undefined;
}

function factorial(a: Value): Value | undefined {
  const n = smallWhole(a);
  if (n === undefined) return undefined;
  let product = 1n;
  for (let factor = 2; factor <= n; factor++) product *= BigInt(factor);
  return integer(product);
}

function binomial(a: Value, b: Value): Value | undefined {
  const [n, k] = [smallWhole(a), smallWhole(b)];
  if (n === undefined || k === undefined) return undefined;
  if (k > n) return zero;
  let chosen = 1n;
  for (let i = 0; i < k; i++) chosen = (chosen * BigInt(n - i)) / BigInt(i + 1);
  return integer(chosen);
}

function absolute(a: Value): Value | undefined {
  if (isExact(a)) return a.numerator < 0n ? { ...a, numerator: -a.numerator } : a;
  return { re: Math.hypot(a.re, a.im), im: 0, error: 2 * a.error + unit * Math.hypot(a.re, a.im) };
}

function rounded(a: Value, way: 'floor' | 'ceil'): Value | undefined {
  if (isExact(a)) {
    const down = (n: bigint, d: bigint) => (n >= 0n ? n / d : -((d - 1n - n) / d));
    return integer(way === 'floor' ? down(a.numerator, a.denominator) : -down(-a.numerator, a.denominator));
  }
  const x = real(a);
  if (x === undefined || a.error > 1e-6 || Math.abs(x) > 2 ** 50) return undefined;
  const nearest = Math.round(x);
  const onTheLine = Math.abs(x - nearest) <= 4 * a.error;
  return integer(onTheLine ? nearest : way === 'floor' ? Math.floor(x) : Math.ceil(x));
}

function extreme(values: readonly Value[], way: 'max' | 'min'): Value | undefined {
  let best: Value | undefined;
  for (const value of values) {
    const gap: Value | undefined = best === undefined ? undefined : minus(value, best);
    const sign = gap === undefined ? undefined : real(gap);
    if (best !== undefined && sign === undefined) return undefined;
    if (sign === undefined || (way === 'max' ? sign > 0 : sign < 0)) best = value;
  }
  return best;
}

function commonDivisor(a: Value, b: Value): Value | undefined {
  if (!isExact(a) || !isExact(b) || a.denominator !== 1n || b.denominator !== 1n) return undefined;
  let [x, y] = [a.numerator, b.numerator];
  if (x.toString().length + y.toString().length > 100) return undefined;
  while (y !== 0n) [x, y] = [y, x % y];
  return integer(x < 0n ? -x : x);
}

function commonMultiple(a: Value, b: Value): Value | undefined {
  const [product, divisor] = [times(a, b), commonDivisor(a, b)];
  const multiple = product && divisor && over(product, divisor);
  return multiple && absolute(multiple);
}

/** A real function with a bound on its slope, where the argument is real and inside its domain. */
function realFunction(apply: (x: number) => number, slope: (x: number) => number) {
  return (a: Approximate): Approximate | undefined => {
    const x = real(a);
    if (x === undefined) return undefined;
    const re = apply(x);
    const error = a.error * Math.abs(slope(x)) + 4 * unit * Math.abs(re);
    return Number.isFinite(re) && Number.isFinite(error) ? { re, im: 0, error } : undefined;
  };
}

type Apply = (a: Value) => Value | undefined;

const ofReal = (apply: (x: number) => number, slope: (x: number) => number): Apply => {
  const function_ = realFunction(apply, slope);
  return (a) => {
    const x = approximate(a);
    return x && function_(x);
  };
};

/** sin and cos through exp where the argument is complex. */
function throughExp(sign: 1 | -1, divisor: Value): Apply {
  return (a) => {
    const turned = approximate(times(imaginary, a) ?? zero);
    const back = turned && { ...turned, re: -turned.re, im: -turned.im };
    const [forth, other] = [turned && expApproximate(turned), back && expApproximate(back)];
    if (!forth || !other) return undefined;
    const sum = sign === 1 ? plus(forth, other) : minus(forth, other);
    return sum && over(sum, divisor);
  };
}

const isReal = (a: Value) => isExact(a) || a.im === 0;
const complexSin = throughExp(-1, { re: 0, im: 2, error: 0 });
const complexCos = throughExp(1, integer(2));
const realSin = ofReal(Math.sin, () => 1);
const realCos = ofReal(Math.cos, () => 1);
const sin: Apply = (a) => (isReal(a) ? realSin(a) : complexSin(a));
const cos: Apply = (a) => (isReal(a) ? realCos(a) : complexCos(a));

const quotient =
  (above: Apply, below: Apply): Apply =>
  (a) => {
    const [x, y] = [above(a), below(a)];
    return x && y && over(x, y);
  };
const oneOf: Apply = () => integer(1);
const sinh: Apply = (a) => {
  const turned = times(imaginary, a);
  const value = turned && sin(turned);
  return value && times({ re: 0, im: -1, error: 0 }, value);
};
const cosh: Apply = (a) => {
  const turned = times(imaginary, a);
  return turned && cos(turned);
};

const trigonometry: Record<string, Apply> = {
  sin,
  cos,
  tan: quotient(sin, cos),
  cot: quotient(cos, sin),
  sec: quotient(oneOf, cos),
  csc: quotient(oneOf, sin),
};

const inverses: Record<string, Apply> = {
  sinh,
  cosh,
  tanh: quotient(sinh, cosh),
  arcsin: ofReal(Math.asin, (x) => 1 / Math.sqrt(1 - x * x)),
  arccos: ofReal(Math.acos, (x) => 1 / Math.sqrt(1 - x * x)),
  arctan: ofReal(Math.atan, () => 1),
};

function inverse(name: string, a: Value | undefined): Value | undefined {
  return a !== undefined && Object.hasOwn(inverses, name) ? inverses[name]!(a) : undefined;
}

/** Rational points, positive and negative, small so that powers stay small. */
const generic = [
  [17, 11],
  [-13, 19],
  [23, 29],
  [5, 7],
  [-31, 17],
  [41, 23],
  [-3, 13],
  [37, 43],
  [-19, 12],
  [29, 31],
  [7, 16],
  [-43, 37],
].map(([a, b]) => ({ numerator: BigInt(a!), denominator: BigInt(b!) }));
/** Whole points, for factorials and the like: the first name's value, and the step to the next name's. */
const wholes = [
  [4, 1],
  [2, 3],
  [1, 4],
  [3, 2],
  [5, 5],
  [9, -2],
  [8, -3],
  [7, -1],
] as const;

/** Fixed points at which expressions in these names are compared. */
export function points(names: readonly string[]): Point[] {
  if (names.length === 0) return [new Map()];
  const at = (round: number) => new Map(names.map((name, i) => [name, generic[(i * 5 + round) % generic.length]!]));
  const atWhole = ([first, step]: readonly [number, number]) =>
    new Map(names.map((name, i) => [name, integer(first + i * step)]));
  return [...[0, 2, 3, 1, 4, 6].map(at), ...wholes.map(atWhole)];
}
