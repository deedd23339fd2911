import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entropy, entropyProfile } from './entropy.js';

describe('entropy', () => {
  test('golden', () => {
    expect(entropy([0.5, 0.5])).toBeCloseTo(Math.LN2, 15);
    expect(entropy([1, 0, 0])).toBe(0);
    // softmax([2, 1, 0]) and softmax([4, 2, 0]), worked in float64
    expect(entropy([0.665240955775, 0.244728471055, 0.0900305731704])).toBeCloseTo(0.8323955818, 9);
    expect(entropy([0.866813332197, 0.117310427826, 0.0158762399765])).toBeCloseTo(0.4410574441, 9);
    expect(entropy([0.999, 0.001])).toBeCloseTo(0.0079072551, 9);
  });

  test('of a uniform float32 vector as wide as a real vocabulary is log V', () => {
    const V = 151_936;
    expect(entropy(new Float32Array(V).fill(1 / V))).toBeCloseTo(Math.log(V), 4);
  });

  test('lies in [0, log V] and does not depend on order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 30 }), (weights) => {
        const sum = weights.reduce((a, b) => a + b, 0);
        fc.pre(sum > 0);
        const p = weights.map((w) => w / sum);
        const value = entropy(p);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(Math.log(p.length) + 1e-12);
        expect(entropy([...p].reverse())).toBeCloseTo(value, 12);
      }),
    );
  });

  test.each([
    [[], 'sum of 0'],
    [[0.5, 0.4], 'sum of 0.9'],
    [[1.5, -0.5], 'got 1.5 at index 0'],
    [[Number.NaN, 1], 'got NaN at index 0'],
    [[2, 1], 'softmax'],
  ])('%j is an error', (p, message) => {
    expect(() => entropy(p)).toThrow(message);
  });
});

describe('entropyProfile', () => {
  test('ragged, by hand', () => {
    expect(entropyProfile([[1, 2, 6], [3], [], new Float32Array([5, 4])])).toEqual({
      mean: [3, 3, 6],
      count: [3, 2, 1],
    });
    expect(entropyProfile([])).toEqual({ mean: [], count: [] });
  });

  test('errors name the sequence and position', () => {
    expect(() => entropyProfile([[1], [0, Number.NaN]])).toThrow('got NaN in sequence 1 at position 1');
    expect(() => entropyProfile([[-1]])).toThrow('got -1');
  });
});
