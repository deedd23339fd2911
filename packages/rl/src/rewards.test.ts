import { expect, test } from 'vitest';
import { boxedReward } from './rewards.js';

test.each([
  ['\\boxed{42}', '42', 100, true, true],
  ['\\boxed{1/2}', '0.5', 100, true, true],
  ['\\boxed{43}', '42', 10, false, true],
  ['\\boxed{}', '42', 10, false, true],
  ['\\boxed{42', '42', 0, false, false],
  ['42', '42', 0, false, false],
  ['', '42', 0, false, false],
])('%s against %s earns %d', (text, gold, reward, correct, boxed) => {
  expect(boxedReward()(text, gold)).toEqual({ reward, correct, boxed });
});

test('other rewards', () => {
  const reward = boxedReward({ correct: 1, boxed: 0.5, otherwise: -1 });
  expect(['\\boxed{4}', '\\boxed{5}', '4'].map((text) => reward(text, '4').reward)).toEqual([1, 0.5, -1]);
});
