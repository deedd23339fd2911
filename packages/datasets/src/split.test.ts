import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Problem } from './problem.js';
import { holdOut } from './split.js';

const problems: Problem[] = Array.from({ length: 100 }, (_, i) => ({
  id: `p/${i}`,
  question: `${i}?`,
  answer: `${i}`,
}));
const ids = (list: readonly Problem[]) => list.map(({ id }) => id);

describe('holdOut', () => {
  test('splits into two disjoint parts in the order of the list', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.integer(), (count, seed) => {
        const { train, validation } = holdOut(problems, count, seed);
        expect(validation).toHaveLength(count);
        const order = (part: Problem[]) => part.map((problem) => problems.indexOf(problem));
        expect([...order(train), ...order(validation)].sort((a, b) => a - b)).toEqual(problems.map((_, i) => i));
        for (const part of [train, validation]) expect(order(part)).toEqual(order(part).sort((a, b) => a - b));
      }),
    );
  });

  test('golden, and another seed holds out others', () => {
    expect(ids(holdOut(problems, 3, 1).validation)).toEqual(['p/57', 'p/70', 'p/79']);
    expect(ids(holdOut(problems, 3, 2).validation)).not.toEqual(ids(holdOut(problems, 3, 1).validation));
  });

  test('depends neither on the order of the list nor, but for more of them, on the count', () => {
    const held = new Set(ids(holdOut(problems, 20, 1).validation));
    expect(new Set(ids(holdOut([...problems].reverse(), 20, 1).validation))).toEqual(held);
    expect(ids(holdOut(problems, 10, 1).validation).every((id) => held.has(id))).toBe(true);
  });

  test('errors', () => {
    expect(() => holdOut(problems, 101, 1)).toThrow('0..100, got 101');
    expect(() => holdOut(problems, 1.5, 1)).toThrow(RangeError);
    expect(() => holdOut(problems, 1, 0.5)).toThrow('seed');
    expect(() => holdOut([problems[0]!, problems[0]!], 1, 1)).toThrow('1 repeated');
  });
});
