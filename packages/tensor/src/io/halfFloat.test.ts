import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { narrowBF16, narrowF16, widenBF16, widenF16 } from './halfFloat.js';

const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
const narrowOne = (narrow: (values: Float32Array) => Uint16Array, value: number) => narrow(Float32Array.of(value))[0]!;
const bits = (values: Float32Array) => new Uint32Array(values.buffer);

describe('F16', () => {
  test('all 65536 values: widened as IEEE 754 defines, and back to the same bits', () => {
    const wide = widenF16(all);
    all.forEach((half, i) => {
      const sign = half >> 15 ? -1 : 1;
      const exponent = (half >> 10) & 31;
      const fraction = half & 1023;
      const want =
        exponent === 31
          ? fraction
            ? Number.NaN
            : sign * Infinity
          : sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : fraction * 2 ** -24);
      if (!Object.is(wide[i], want)) expect.fail(`0x${half.toString(16)}: expected ${want}, got ${wide[i]}`);
    });
    expect(narrowF16(wide)).toEqual(all);
  });

  test.each([
    [1, 0x3c00],
    [-2, 0xc000],
    [-0, 0x8000],
    [65504, 0x7bff],
    [65519.996, 0x7bff],
    [65520, 0x7c00], // a tie, and to even is up
    [1e30, 0x7c00],
    [-Infinity, 0xfc00],
    [1 + 2 ** -11, 0x3c00], // ties to even
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 + 2 ** -11 + 2 ** -23, 0x3c01],
    [2 - 2 ** -12, 0x4000], // carries into the exponent
    [2 ** -14 - 2 ** -26, 0x0400], // the largest subnormal rounds up to the smallest normal
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 + 2 ** -40, 0x0001],
    [3 * 2 ** -25, 0x0002],
    [5 * 2 ** -25, 0x0002],
    [1e-30, 0x0000],
    [-1e-30, 0x8000],
  ])('%d narrows to %i', (value, half) => expect(narrowOne(narrowF16, value)).toBe(half));

  test('rounds every float32 to the nearest, ties to even', () => {
    const wide = widenF16(all.slice(0, 0x7c01)); // 0 .. ∞, ascending
    wide[0x7c00] = 65536; // where the next number would be: what lies nearer to it is infinity
    fc.assert(
      fc.property(fc.float({ min: -70000, max: 70000, noNaN: true }), (value) => {
        const half = narrowOne(narrowF16, value) & 0x7fff;
        const distance = Math.abs(wide[half]! - Math.abs(value));
        for (const other of [half - 1, half + 1]) {
          if (other < 0 || other > 0x7c00) continue;
          const rival = Math.abs(wide[other]! - Math.abs(value));
          if (Math.abs(value) <= 65536) expect(rival > distance || (rival === distance && half % 2 === 0)).toBe(true);
        }
      }),
      { seed: 1, numRuns: 5000 },
    );
  });
});

describe('BF16', () => {
  test('all 65536 values: the upper half of a float32, and back to the same bits', () => {
    const wide = widenBF16(all);
    all.forEach((half, i) => {
      if (bits(wide)[i] !== half * 65536) expect.fail(`0x${half.toString(16)}`);
    });
    expect(narrowBF16(wide)).toEqual(all);
  });

  test.each([
    [1, 0x3f80],
    [-0, 0x8000],
    [1 + 2 ** -8, 0x3f80], // ties to even
    [1 + 3 * 2 ** -8, 0x3f82],
    [1 + 2 ** -8 + 2 ** -23, 0x3f81],
    [2 - 2 ** -9, 0x4000], // carries into the exponent
    [3.4028234663852886e38, 0x7f80],
    [-Infinity, 0xff80],
    [1.401298464324817e-45, 0x0000],
  ])('%d narrows to %i', (value, half) => expect(narrowOne(narrowBF16, value)).toBe(half));
});

test('NaN stays NaN with its sign, even if its payload is in the bits that go', () => {
  const values = new Float32Array(2);
  bits(values).set([0x7f800001, 0xff800001]);
  expect([...narrowF16(values)]).toEqual([0x7e00, 0xfe00]);
  expect([...narrowBF16(values)]).toEqual([0x7fc0, 0xffc0]);
});
