import { expectClose } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import { warmupCosine } from './schedules.js';

test('golden: peak 6e-6, 20 of 4000 to warm up', () => {
  const rate = warmupCosine({ peak: 6e-6, warmup: 20, total: 4000 });
  expectClose([10, 20, 1000, 2010].map(rate), [3e-6, 6e-6, 5.146287865e-6, 3e-6], { rel: 1e-9, abs: 0 });
  expectClose([1], [rate(1) / 3e-7], { rel: 1e-12 }); // the first update moves
  expectClose([rate(4000), rate(5000)], [0, 0], { abs: 1e-20 });
});

test('falls to the floor and stays; rises before, falls after the warm-up', () => {
  const rate = warmupCosine({ peak: 1, warmup: 5, total: 20, floor: 0.1 });
  expectClose([rate(20), rate(100)], [0.1, 0.1]);
  for (let step = 1; step < 20; step++) expect(rate(step + 1) > rate(step)).toBe(step < 5);
  expect(warmupCosine({ peak: 1, warmup: 0, total: 10 })(0)).toBe(1);
});

test('refuses settings that make no schedule', () => {
  expect(() => warmupCosine({ peak: 1, warmup: 10, total: 10 })).toThrow(/got warmup 10 and total 10/);
  expect(() => warmupCosine({ peak: 1, warmup: -1, total: 10 })).toThrow(RangeError);
  expect(() => warmupCosine({ peak: 1, warmup: 0, total: 10, floor: 2 })).toThrow(/got floor 2 and peak 1/);
  expect(() => warmupCosine({ peak: Number.NaN, warmup: 0, total: 10 })).toThrow(RangeError);
});
