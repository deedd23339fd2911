// Random numbers by address. A number is a pure function of (seed, step, sample, position, stream, draw, index), so it is
// the same in whatever batch, order or engine it is computed, and a resumed run meets the numbers it would have met.
//
// The generator is Philox4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11.
// It turns a 128-bit counter c and a 64-bit key k into four words of 32 bits. What addresses what, words low first:
//
//   k0, k1   seed, as a 64-bit integer in two's complement
//   c0       block b: elements 4b .. 4b+3 of the draw
//   c1       position << 12 | stream << 8 | draw     position < 2^20, stream < 16, draw < 256; stream 15: permutations
//   c2       sample
//   c3       step
//
// From the words w0..w3 of block b:
//
//   uniform  element 4b+i = (wi >> 8) 2^-24
//   normal   elements 4b, 4b+1 = r(w0) cos a(w1), r(w0) sin a(w1); elements 4b+2, 4b+3 the same of w2, w3   (Box-Muller)
//            r(w) = sqrt(-2 log((w + 1) 2^-32)),   a(w) = 2π w 2^-32;   in float64, rounded to float32 at the end
//
// log, cos and sin are polynomials below: + - × / and sqrt of float64 are the same to the bit everywhere, while the
// functions of Math differ between releases of V8 and from every C library. native/ops/noise.h reproduces the bits by
// following these lines in order, compiled without contraction of a·b + c (-ffp-contract=off); an engine that registers
// the kernels NormalNoise and UniformNoise draws by them.
import * as tf from '@tensorflow/tfjs-core';
import { runKernel } from './ops/fused.js';

/** Where a draw lies: equal addresses give equal numbers, different ones independent numbers. */
export interface NoiseAddress {
  /** Of the run; a safe integer. */
  readonly seed: number;
  /** The training step, 0 .. 2^32 - 1. */
  readonly step: number;
  /** The sequence within the step, 0 .. 2^31 - 1. */
  readonly sample: number;
  /** The position within the sequence, 0 .. 2^20 - 1. */
  readonly position: number;
  /** What the numbers are for, 0 .. 14: thought 0, answer 1, and so on. */
  readonly stream: number;
  /** Which draw at that place, 0 .. 255; 0 if left out. */
  readonly draw?: number;
}

/** Random tensors for one position of B sequences; each call draws fresh numbers, row b of them for sequence b. */
export interface Noise {
  /** Standard normal, `[B, width]` float32. */
  normal(width: number): tf.Tensor2D;
  /** Uniform in [0, 1), `[B, width]` float32, multiples of 2^-24. */
  uniform(width: number): tf.Tensor2D;
}

/** The words of the last block, so that a block allocates nothing. Signed: the engine keeps those unboxed. */
const words = new Int32Array(4);

/**
 * Philox4x32 with 10 rounds: `counter` of four u32 and `key` of two u32 to four u32.
 *
 * ```ts
 * philox4x32([0, 0, 0, 0], [0, 0]); // [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
 * ```
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
  return [words[0]! >>> 0, words[1]! >>> 0, words[2]! >>> 0, words[3]! >>> 0];
}

/**
 * The `Noise` of one position of B sequences. Row b of the i-th draw has the address
 * `{ seed, step, sample: samples[b], position, stream, draw: i }`: it does not depend on the rest of the batch.
 *
 * @throws RangeError if a part of the address is out of its range, and at the 257th draw.
 *
 * ```ts
 * const noise = createNoise({ seed: 7, step: 0, samples: Int32Array.of(0, 1), position: 3, stream: 0 });
 * noise.normal(896); // [2, 896]
 * ```
 */
export function createNoise(place: Omit<NoiseAddress, 'sample' | 'draw'> & { readonly samples: Int32Array }): Noise {
  const samples = place.samples.slice();
  samples.forEach((sample) => {
    checkSample('createNoise', sample);
  });
  const at = toCounter('createNoise', { ...place, sample: 0 });
  let draw = 0;
  const tensor = (kind: Kind, width: number) => {
    checkCount('noise', 'width', width);
    if (draw > 255)
      throw new RangeError('noise: expected at most 256 draws at a position, got 257; draw wider tensors');
    return drawRows(kind, { ...at, c1: at.c1 | draw++ }, samples, width);
  };
  return {
    normal: (width) => tensor('Normal', width),
    uniform: (width) => tensor('Uniform', width),
  };
}

/**
 * The first `n` standard normal numbers of one draw: what `Noise.normal` puts in a row.
 *
 * @throws RangeError if `n` or a part of the address is out of its range.
 */
export function normalArray(address: NoiseAddress, n: number): Float32Array {
  checkCount('normalArray', 'n', n);
  return drawArray('Normal', toCounter('normalArray', address), n);
}

/**
 * The first `n` numbers of one draw, uniform in [0, 1): what `Noise.uniform` puts in a row.
 *
 * @throws RangeError if `n` or a part of the address is out of its range.
 */
export function uniformArray(address: NoiseAddress, n: number): Float32Array {
  checkCount('uniformArray', 'n', n);
  return drawArray('Uniform', toCounter('uniformArray', address), n);
}

/**
 * A random order of 0 .. n - 1, all n! equally likely: Fisher and Yates' shuffle. `epoch` picks another one.
 *
 * Words are taken in order from the address (seed, step 0, sample epoch, position 0, stream 15). For i = n-1 .. 1 the
 * next word w below the greatest multiple of i + 1 gives j = w mod (i + 1), and i and j change places.
 *
 * @throws RangeError if `seed` is no safe integer, or `epoch` or `n` is not in 0 .. 2^31 - 1.
 *
 * ```ts
 * permutation(7, 0, 5); // Int32Array of 0 .. 4 in some order
 * ```
 */
export function permutation(seed: number, epoch: number, n: number): Int32Array {
  checkRange('permutation', 'epoch', epoch, 2 ** 31);
  checkCount('permutation', 'n', n);
  const [k0, k1] = toKey('permutation', seed);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  let taken = 0;
  const next = () => {
    if (taken % 4 === 0) philox(taken / 4, PERMUTATION_STREAM << 8, epoch, 0, k0, k1);
    return words[taken++ % 4]! >>> 0;
  };
  for (let i = n - 1; i > 0; i--) {
    const unbiased = 2 ** 32 - (2 ** 32 % (i + 1));
    let word = next();
    while (word >= unbiased) word = next();
    const j = word % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

const PERMUTATION_STREAM = 15;

/** An address as counter and key words, c0 left out. */
interface Counter {
  readonly c1: number;
  readonly c2: number;
  readonly c3: number;
  readonly k0: number;
  readonly k1: number;
}

/** What is drawn; the engine's kernels are called `<Kind>Noise`. */
type Kind = 'Normal' | 'Uniform';

/** Row b is the draw of samples[b] at the address, whose own sample does not matter: `[B, width]`. */
function drawRows(kind: Kind, at: Counter, samples: Int32Array, width: number): tf.Tensor2D {
  const drawn = runKernel(`${kind}Noise`, {}, { ...at, samples, width });
  if (drawn) return drawn[0] as tf.Tensor2D;
  const values = new Float32Array(samples.length * width);
  samples.forEach((sample, row) => {
    fill[kind](values.subarray(row * width, (row + 1) * width), { ...at, c2: sample });
  });
  return tf.tensor2d(values, [samples.length, width], 'float32');
}

function drawArray(kind: Kind, at: Counter, n: number): Float32Array {
  const drawn = runKernel(`${kind}Noise`, {}, { ...at, samples: Int32Array.of(at.c2), width: n });
  if (drawn) {
    const values = drawn[0]!.dataSync<'float32'>().slice(); // a copy: the tensor's memory is the engine's
    drawn[0]!.dispose();
    return values;
  }
  const values = new Float32Array(n);
  fill[kind](values, at);
  return values;
}

const fill: Readonly<Record<Kind, (out: Float32Array, at: Counter) => void>> = {
  Normal: fillNormal,
  Uniform: fillUniform,
};

function toCounter(where: string, { seed, step, sample, position, stream, draw = 0 }: NoiseAddress): Counter {
  const [k0, k1] = toKey(where, seed);
  checkRange(where, 'step', step, 2 ** 32);
  checkSample(where, sample);
  checkRange(where, 'position', position, 2 ** 20);
  checkRange(where, 'stream', stream, PERMUTATION_STREAM);
  checkRange(where, 'draw', draw, 256);
  return { c1: (position << 12) | (stream << 8) | draw, c2: sample, c3: step | 0, k0, k1 };
}

function toKey(where: string, seed: number): [number, number] {
  if (!Number.isSafeInteger(seed)) {
    throw new RangeError(`${where}: expected a safe integer as seed, got ${seed}; use one within ±(2^53 - 1)`);
  }
  return [seed | 0, Math.floor(seed / 2 ** 32) | 0];
}

function checkRange(where: string, name: string, value: number, end: number): void {
  if (Number.isInteger(value) && value >= 0 && value < end) return;
  throw new RangeError(`${where}: expected an integer ${name} in 0 .. ${end - 1}, got ${value}; check the caller`);
}

const checkSample = (where: string, sample: number) => checkRange(where, 'sample', sample, 2 ** 31);

const checkCount = (where: string, name: string, value: number) => checkRange(where, name, value, 2 ** 31);

const TO_UNIT = 2 ** -24;

function fillUniform(out: Float32Array, { c1, c2, c3, k0, k1 }: Counter): void {
  for (let i = 0; i < out.length; i += 4) {
    philox(i >>> 2, c1, c2, c3, k0, k1);
    // Stores beyond the end of a typed array do nothing.
    out[i] = (words[0]! >>> 8) * TO_UNIT;
    out[i + 1] = (words[1]! >>> 8) * TO_UNIT;
    out[i + 2] = (words[2]! >>> 8) * TO_UNIT;
    out[i + 3] = (words[3]! >>> 8) * TO_UNIT;
  }
}

const TO_ANGLE = (2 * Math.PI) / 2 ** 32;

function fillNormal(out: Float32Array, { c1, c2, c3, k0, k1 }: Counter): void {
  for (let i = 0; i < out.length; i += 4) {
    philox(i >>> 2, c1, c2, c3, k0, k1);
    for (let pair = 0; pair < 4; pair += 2) {
      const radius = Math.sqrt(-2 * logUnit(words[pair]!));
      // a = quarter · π/2 + rest, rest in [-π/4, π/4): exact, because the angle is still an integer.
      const angle = words[pair + 1]!;
      const quarter = (angle + 0x20000000) >>> 30;
      const rest = ((angle - (quarter << 30)) | 0) * TO_ANGLE;
      const square = rest * rest;
      const cos = cosine(square);
      const sin = rest * sineOver(square);
      out[i + pair] = radius * (quarter === 0 ? cos : quarter === 1 ? -sin : quarter === 2 ? -cos : sin);
      out[i + pair + 1] = radius * (quarter === 0 ? sin : quarter === 1 ? cos : quarter === 2 ? -sin : -cos);
    }
  }
}

const POWER = Float64Array.from({ length: 33 }, (_, e) => 2 ** -e);

/** log((w + 1) 2^-32) of the word w, in (-22.2, 0]: log f + (e - 32) log 2 with (w + 1) = f 2^e and f in (√½, √2]. */
function logUnit(word: number): number {
  const m = (word >>> 0) + 1;
  let e = m === 2 ** 32 ? 32 : 31 - Math.clz32(m);
  let f = m * POWER[e]!;
  if (f > Math.SQRT2) {
    f *= 0.5;
    e += 1;
  }
  // log f = 2 artanh s = 2 (s + s³/3 + s⁵/5 + ...), s = (f - 1) / (f + 1), |s| < 0.172: ten terms reach float64.
  const s = (f - 1) / (f + 1);
  const q = s * s;
  let p = 1 / 19;
  p = p * q + 1 / 17;
  p = p * q + 1 / 15;
  p = p * q + 1 / 13;
  p = p * q + 1 / 11;
  p = p * q + 1 / 9;
  p = p * q + 1 / 7;
  p = p * q + 1 / 5;
  p = p * q + 1 / 3;
  p = p * q + 1;
  return 2 * s * p + (e - 32) * Math.LN2;
}

/** sin(x) / x from x², |x| <= π/4: the Taylor series to x^15. */
function sineOver(square: number): number {
  let p = -1 / 1307674368000;
  p = p * square + 1 / 6227020800;
  p = p * square - 1 / 39916800;
  p = p * square + 1 / 362880;
  p = p * square - 1 / 5040;
  p = p * square + 1 / 120;
  p = p * square - 1 / 6;
  return p * square + 1;
}

/** cos(x) from x², |x| <= π/4: the Taylor series to x^16. */
function cosine(square: number): number {
  let p = 1 / 20922789888000;
  p = p * square - 1 / 87178291200;
  p = p * square + 1 / 479001600;
  p = p * square - 1 / 3628800;
  p = p * square + 1 / 40320;
  p = p * square - 1 / 720;
  p = p * square + 1 / 24;
  p = p * square - 1 / 2;
  return p * square + 1;
}

/** Ten rounds of Philox4x32 into `words`. All arithmetic is on 32-bit integers. */
function philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number): void {
  let x0 = c0 | 0;
  let x1 = c1 | 0;
  let x2 = c2 | 0;
  let x3 = c3 | 0;
  let y0 = k0 | 0;
  let y1 = k1 | 0;
  for (let round = 0; round < 10; round++) {
    const high0 = highOfProduct(x0, 0xd251, 0x1f53);
    const high1 = highOfProduct(x2, 0xcd9e, 0x8d57);
    const low0 = Math.imul(x0, 0xd2511f53);
    const low1 = Math.imul(x2, 0xcd9e8d57);
    x0 = high1 ^ x1 ^ y0;
    x1 = low1;
    x2 = high0 ^ x3 ^ y1;
    x3 = low0;
    y0 = (y0 + 0x9e3779b9) | 0;
    y1 = (y1 + 0xbb67ae85) | 0;
  }
  words[0] = x0;
  words[1] = x1;
  words[2] = x2;
  words[3] = x3;
}

/** The high word of the 64-bit product of `x` and `high << 16 | low`, by halves: no sum leaves 32 bits. */
function highOfProduct(x: number, high: number, low: number): number {
  const x0 = x & 0xffff;
  const x1 = x >>> 16;
  const middle = (Math.imul(x1, low) + (Math.imul(x0, low) >>> 16)) | 0;
  const other = (Math.imul(x0, high) + (middle & 0xffff)) | 0;
  return (Math.imul(x1, high) + (middle >>> 16) + (other >>> 16)) | 0;
}
