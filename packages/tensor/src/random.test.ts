import { createHash } from 'node:crypto';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import { describe, expect, test } from 'vitest';
import { useEngine } from './engine.js';
import { createNoise, type NoiseAddress, normalArray, permutation, philox4x32, uniformArray } from './random.js';

const address: NoiseAddress = { seed: 7, step: 3, sample: 2, position: 5, stream: 1, draw: 0 };

describe('philox4x32', () => {
  // Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
  test.each([
    ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [
      'ones',
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      'digits of π',
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as [string, [number, number, number, number], [number, number], number[]][])(
    'known answer: %s',
    (_, counter, key, want) => expect(philox4x32(counter, key)).toEqual(want),
  );
});

describe('address', () => {
  test('the words are where the documentation says', () => {
    // Seed -2 is ...fffe in two's complement; the sixth uniform is word 1 of block 1.
    const at = { seed: -2, step: 2 ** 32 - 1, sample: 9, position: 2 ** 20 - 1, stream: 14, draw: 255 };
    const words = philox4x32([1, 0xfffffeff, 9, 0xffffffff], [0xfffffffe, 0xffffffff]);
    expect(uniformArray(at, 6)[5]).toBe((words[1] >>> 8) / 2 ** 24);
    const seed = 2 ** 40 + 5;
    const first = philox4x32([0, (5 << 12) | (1 << 8), 2, 3], [5, 256]);
    expect(uniformArray({ ...address, seed }, 1)[0]).toBe((first[0] >>> 8) / 2 ** 24);
  });

  test('equal address, equal bits; any part changed, other numbers', () => {
    const numbers = (at: NoiseAddress) => normalArray(at, 8).join();
    const changed: NoiseAddress[] = [
      { ...address, seed: 8 },
      { ...address, seed: 7 + 2 ** 32 },
      { ...address, seed: -7 },
      { ...address, step: 4 },
      { ...address, sample: 3 },
      { ...address, position: 6 },
      { ...address, stream: 0 },
      { ...address, draw: 1 },
    ];
    expect(numbers(address)).toBe(numbers({ ...address }));
    const { draw: _, ...withoutDraw } = address;
    expect(numbers(withoutDraw)).toBe(numbers(address));
    expect(new Set([address, ...changed].map(numbers)).size).toBe(changed.length + 1);
  });

  test('a longer draw begins with the shorter one', () => {
    for (const n of [0, 1, 2, 3, 4, 5, 7, 9]) {
      expect(normalArray(address, n)).toEqual(normalArray(address, 16).slice(0, n));
      expect(uniformArray(address, n)).toEqual(uniformArray(address, 16).slice(0, n));
    }
  });

  test.each([
    [{ seed: 1.5 }, /safe integer as seed, got 1\.5/],
    [{ seed: 2 ** 53 }, /safe integer as seed/],
    [{ step: -1 }, /step in 0 \.\. 4294967295, got -1/],
    [{ sample: 2 ** 31 }, /sample/],
    [{ position: 2 ** 20 }, /position in 0 \.\. 1048575, got 1048576/],
    [{ stream: 15 }, /stream in 0 \.\. 14, got 15/],
    [{ draw: 256 }, /draw in 0 \.\. 255, got 256/],
    [{ position: Number.NaN }, /position/],
  ] as [Partial<NoiseAddress>, RegExp][])('refuses %o', (part, message) => {
    expect(() => uniformArray({ ...address, ...part }, 1)).toThrow(message);
  });
});

describe('uniform', () => {
  const n = 1 << 20;
  const values = uniformArray(address, n);

  test('lies in [0, 1) in steps of 2^-24', () => {
    expect(values.every((value) => value >= 0 && value < 1 && Number.isInteger(value * 2 ** 24))).toBe(true);
  });

  test('mean, variance and χ² over 256 bins', () => {
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n;
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / n));
    const bins = new Int32Array(256);
    for (const value of values) bins[Math.floor(value * 256)]!++;
    const chi2 = bins.reduce((sum, count) => sum + (count - n / 256) ** 2 / (n / 256), 0);
    expect(Math.abs(chi2 - 255)).toBeLessThan(4 * Math.sqrt(2 * 255));
  });
});

describe('normal', () => {
  const n = 1 << 20;
  const values = normalArray(address, n);

  test('is Box and Muller of the words', () => {
    // The functions of Math are within a few 1e-16 of ours, so what is rounded to float32 is within half a step of it.
    for (let block = 0; block < 2000; block++) {
      const w = philox4x32([block, (5 << 12) | (1 << 8), 2, 3], [7, 0]);
      for (const pair of [0, 2] as const) {
        const radius = Math.sqrt(-2 * Math.log((w[pair] + 1) * 2 ** -32));
        const angle = 2 * Math.PI * w[pair + 1]! * 2 ** -32;
        const want = [radius * Math.cos(angle), radius * Math.sin(angle)];
        expectClose(values.subarray(4 * block + pair, 4 * block + pair + 2), want, { rel: 2 ** -24, abs: 1e-15 });
      }
    }
  });

  test('golden: the bits never change, or old runs could not be repeated', () => {
    const hash = createHash('sha256').update(new Uint8Array(normalArray(address, 1 << 16).buffer));
    expect(hash.digest('hex')).toBe('fcedb84450a924f1961c680bef79efba384a891a99704c1d07c74ee2d65546c5');
  });

  test('mean, variance, fourth moment and χ² over 32 bins of equal probability', () => {
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / n;
    expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
    // Neighbours share a radius or an angle; they must not be correlated for it.
    const lag = (k: number) => values.subarray(k).reduce((sum, value, i) => sum + value * values[i]!, 0) / n;
    for (const k of [1, 2, 3, 4]) expect(Math.abs(lag(k))).toBeLessThan(4 / Math.sqrt(n));
    // Upper ends of 16 bins of probability 1/32 above 0: Φ⁻¹(1/2 + i/32), Python statistics.NormalDist().inv_cdf.
    const ends = [
      0.0784124, 0.1573107, 0.2372021, 0.3186394, 0.4022501, 0.4887764, 0.5791322, 0.6744898, 0.7764218, 0.8871466,
      1.0099902, 1.1503494, 1.3180109, 1.5341205, 1.8627319,
    ];
    const bins = new Int32Array(32);
    for (const value of values) {
      const end = ends.findIndex((limit) => Math.abs(value) < limit);
      bins[2 * (end < 0 ? 15 : end) + (value < 0 ? 1 : 0)]!++;
    }
    const chi2 = bins.reduce((sum, count) => sum + (count - n / 32) ** 2 / (n / 32), 0);
    expect(Math.abs(chi2 - 31)).toBeLessThan(4 * Math.sqrt(2 * 31));
  });
});

eachEngine(
  useEngine,
  () => {
    const place = { seed: 7, step: 3, position: 5, stream: 1 };

    test('a row is the draw of its sample: a batch equals its rows one by one', () => {
      const samples = Int32Array.of(4, 0, 2, 4);
      const noise = createNoise({ ...place, samples });
      const [first, second, third] = [noise.normal(7), noise.uniform(5), noise.normal(7)];
      expect(first.shape).toEqual([4, 7]);
      samples.forEach((sample, b) => {
        const exactly = { rel: 0, abs: 0 };
        expectClose(first.slice([b, 0], [1, 7]).flatten(), normalArray({ ...place, sample, draw: 0 }, 7), exactly);
        expectClose(second.slice([b, 0], [1, 5]).flatten(), uniformArray({ ...place, sample, draw: 1 }, 5), exactly);
        expectClose(third.slice([b, 0], [1, 7]).flatten(), normalArray({ ...place, sample, draw: 2 }, 7), exactly);
      });
    });

    test('refuses a bad address at once, a bad width and the 257th draw', () => {
      expect(() => createNoise({ ...place, samples: Int32Array.of(0, -1) })).toThrow(/sample in .* got -1/);
      const noise = createNoise({ ...place, samples: Int32Array.of(0) });
      expect(() => noise.normal(-1)).toThrow(/width/);
      for (let i = 0; i < 256; i++) noise.uniform(1).dispose();
      expect(() => noise.uniform(1)).toThrow(/at most 256 draws/);
    });
  },
  enginesUnderTest,
);

describe('permutation', () => {
  test('holds each index once, and the same for the same seed and epoch', () => {
    for (const n of [0, 1, 2, 1000]) {
      expect([...permutation(7, 1, n)].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
    }
    expect(permutation(7, 1, 1000)).toEqual(permutation(7, 1, 1000));
    expect(permutation(7, 2, 1000)).not.toEqual(permutation(7, 1, 1000));
    expect(permutation(8, 1, 1000)).not.toEqual(permutation(7, 1, 1000));
  });

  test('follows the documented words', () => {
    const w = philox4x32([0, 15 << 8, 1, 0], [7, 0]);
    const order = [0, 1, 2, 3];
    [3, 2, 1].forEach((i, taken) => {
      const j = w[taken]! % (i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    });
    expect([...permutation(7, 1, 4)]).toEqual(order);
  });

  test('all 24 orders of four are equally likely', () => {
    const counts = new Map<string, number>();
    const n = 24_000;
    for (let epoch = 0; epoch < n; epoch++) {
      const order = permutation(11, epoch, 4).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const chi2 = [...counts.values()].reduce((sum, count) => sum + (count - n / 24) ** 2 / (n / 24), 0);
    expect(Math.abs(chi2 - 23)).toBeLessThan(4 * Math.sqrt(2 * 23));
  });

  test('refuses what it cannot do', () => {
    expect(() => permutation(0.5, 0, 3)).toThrow(/seed/);
    expect(() => permutation(0, -1, 3)).toThrow(/epoch/);
    expect(() => permutation(0, 0, 2.5)).toThrow(/n in/);
  });
});
