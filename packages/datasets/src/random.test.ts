import { describe, expect, test } from 'vitest';
import { createRandom, hash32, pick } from './random.js';

describe('hash32', () => {
  test('is MurmurHash3 fmix32 of FNV-1a', () => {
    // FNV-1a 32 of "" is 811c9dc5, of "a" e40c292c, of "foobar" bf9cf968 (published vectors); fmix32 worked in Python.
    expect(['', 'a', 'foobar'].map(hash32)).toEqual([2872998923, 444641715, 202221276]);
  });

  test('spreads short texts evenly over tenths', () => {
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) counts[hash32(`${i % 100}+${Math.floor(i / 100)}`) % 10]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 standard deviations
  });
});

describe('createRandom', () => {
  test('the same seed draws the same numbers, another seed others', () => {
    const draw = (seed: string) => {
      const random = createRandom(seed);
      return Array.from({ length: 8 }, () => random.below(1000));
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
    expect(draw('a')).toEqual([169, 328, 660, 198, 857, 479, 179, 8]);
  });

  test('is uniform over a short list', () => {
    const random = createRandom('uniform');
    const counts = { a: 0, b: 0, c: 0 };
    for (let i = 0; i < 9000; i++) counts[pick(random, ['a', 'b', 'c'] as const)]++;
    for (const count of Object.values(counts)) expect(Math.abs(count - 3000)).toBeLessThan(225); // 5 standard deviations
  });
});
