import { expectClose } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import { aboutMean, leaveOneOut, standardized } from './advantages.js';

const third = 1 / 3;

test.each<[string, number[], number[]]>([
  ['right, boxed, neither', [100, 10, 0, 0], [96 + 2 * third, -23 - third, -36 - 2 * third, -36 - 2 * third]],
  ['two of four', [1, 0, 0, 1], [2 * third, -2 * third, -2 * third, 2 * third]],
  ['three of four', [100, 100, 100, 0], [33 + third, 33 + third, 33 + third, -100]],
  ['two', [10, 0], [10, -10]],
  ['one of 32', [100, ...new Array<number>(31).fill(0)], [100, ...new Array<number>(31).fill(-100 / 31)]],
  ['one of 32, boxed', [10, ...new Array<number>(31).fill(0)], [10, ...new Array<number>(31).fill(-10 / 31)]],
])('golden: %s', (_, rewards, advantages) => {
  expectClose(leaveOneOut(rewards), advantages, { rel: 1e-12, abs: 1e-12 });
});

test('equal rewards give exactly 0, so that their group is not computed', () => {
  for (const reward of [0, 100, 10, -7])
    expect(leaveOneOut(new Array<number>(32).fill(reward))).toEqual(new Array(32).fill(0));
});

test('sums to 0 and is G/(G-1) times the distance from the mean', () => {
  const rewards = [3, -1.5, 8, 0.25, 100];
  const advantages = leaveOneOut(rewards);
  const mean = rewards.reduce((sum, r) => sum + r) / 5;
  expectClose([advantages.reduce((sum, a) => sum + a)], [0], { abs: 1e-12 });
  expectClose(
    advantages,
    rewards.map((r) => 1.25 * (r - mean)),
    { rel: 1e-12 },
  );
});

test('golden: METHOD E2, about the mean, in standard deviations, and a divergence taken off the rewards first', () => {
  expectClose(aboutMean([100, 10, 0, 0]), [72.5, -17.5, -27.5, -27.5], { rel: 1e-12 });
  const inTrl = [1.49291306, -0.36035833, -0.56627737, -0.56627737];
  expectClose(standardized([100, 10, 0, 0]), inTrl, { rel: 1e-7 });
  expectClose(standardized([100, 10, 0, 0], 1e-9), [1.49291614, -0.36035907, -0.56627853, -0.56627853], { rel: 1e-7 });
  expectClose(standardized([1, 0, 0, 1]), [0.86587543, -0.86587543, -0.86587543, 0.86587543], { rel: 1e-7 });
  for (const epsilon of [0, 1e-4]) expect(standardized([0.1, 0.1, 0.1], epsilon)).toEqual([0, 0, 0]);
  const [rewards, divergences] = [[1, 0, 0, 1], [2, 1, 0.5, 4]] as const; // biome-ignore format: a row each
  expectClose(
    leaveOneOut(rewards.map((reward, g) => reward - 0.05 * divergences[g]!)),
    [0.6583333333, -0.6083333333, -0.575, 0.525],
    { rel: 1e-9 },
  );
});

test('refuses one sample, and rewards that are not numbers', () => {
  expect(() => leaveOneOut([1])).toThrow(/at least 2 samples a prompt, got 1/);
  expect(() => leaveOneOut([1, Number.NaN])).toThrow(/finite rewards, got NaN/);
  expect(() => leaveOneOut([1, -Infinity])).toThrow(/got -Infinity/);
  expect(() => aboutMean([1])).toThrow(/^aboutMean: expected at least 2 samples/);
  expect(() => standardized([1, Number.NaN])).toThrow(/^standardized: expected finite rewards, got NaN/);
  expect(() => standardized([1, 2], Number.NaN)).toThrow(/^standardized: expected epsilon >= 0, got NaN/);
});
