import { describe, expect, test } from 'vitest';
import { apply, drawSkeleton, everySkeleton, skeletonText, splitOf } from './arithmeticSkeleton.js';
import { createRandom } from './random.js';

describe('skeletons', () => {
  test('text', () => {
    const operations = [
      { sign: '+', operand: 5 },
      { sign: '*', operand: 2 },
    ] as const;
    expect(skeletonText({ start: 7, operations })).toBe('7+5*2');
  });

  test('there are 675 at level 1', () => {
    // 20 · 20 gains; Σ 1..20 = 210 losses; 20 doublings and 20 triplings (all up to 60); 10 + 6 + 5 + 4 exact shares.
    const all = [...everySkeleton(1)];
    expect(all).toHaveLength(400 + 210 + 40 + 25);
    expect(new Set(all).size).toBe(all.length);
  });

  test('each drawn one is among them, and drawing reaches them all', () => {
    const random = createRandom('reach');
    const drawn = new Set(Array.from({ length: 20_000 }, () => skeletonText(drawSkeleton(random, 1))));
    expect(drawn).toEqual(new Set(everySkeleton(1)));
  });

  test('totals stay whole and in 0..99, operands in range', () => {
    const random = createRandom('totals');
    for (let i = 0; i < 5000; i++) {
      const { start, operations } = drawSkeleton(random, 5);
      expect(operations).toHaveLength(5);
      let total = start;
      for (const operation of operations) {
        expect(operation.operand).toBeGreaterThanOrEqual(1);
        expect(operation.operand).toBeLessThanOrEqual(20);
        total = apply(total, operation);
        expect(Number.isInteger(total) && total >= 0 && total <= 99).toBe(true);
      }
    }
  });

  test('each split holds more than 50,000 at level 3, the capacity stated', () => {
    const counts = { train: 0, validation: 0, test: 0 };
    for (const skeleton of everySkeleton(3)) counts[splitOf(skeleton)]++;
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(50_000);
    expect(counts.train + counts.validation + counts.test).toBe(930_059);
  });

  test('a tenth is test, a tenth validation', () => {
    const counts = { train: 0, validation: 0, test: 0 };
    for (const skeleton of everySkeleton(2)) counts[splitOf(skeleton)]++;
    expect(counts).toEqual({ train: 19_731, validation: 2425, test: 2391 });
  });
});
