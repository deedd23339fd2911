import { expect, test } from 'vitest';
import { batch } from './batches.js';

const items = Array.from({ length: 10 }, (_, i) => `item ${i}`);
const steps = (seed: number, size: number, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => batch(items, { seed, step: from + i, size })).flat();

test('each epoch holds every item once, in another order', () => {
  const all = steps(1, 4, 1, 10); // 40 items: four epochs, whose ends are no batch's end
  const epochs = [0, 1, 2, 3].map((epoch) => all.slice(10 * epoch, 10 * epoch + 10));
  for (const epoch of epochs) expect([...epoch].sort()).toEqual(items);
  expect(new Set(epochs.map(String)).size).toBe(4);
  expect(epochs.map(String)).not.toContain(String(items));
});

test('depends on seed and step alone', () => {
  expect(steps(1, 4, 7, 10)).toEqual(steps(1, 4, 1, 10).slice(24));
  expect(steps(2, 4, 1, 10)).not.toEqual(steps(1, 4, 1, 10));
});

test('a batch may be larger than the set', () => {
  expect(batch(['a', 'b'], { seed: 0, step: 1, size: 5 }).filter((item) => item === 'a').length).toBeGreaterThan(1);
});

test('refuses an empty set', () => {
  expect(() => batch([], { seed: 0, step: 1, size: 1 })).toThrow(/at least one item, got none/);
});
