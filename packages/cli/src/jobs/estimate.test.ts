import { expect, test } from 'vitest';
import type { TrainConfig } from '../config/recipe.js';
import { Estimator, workOf } from './estimate.js';
import type { Task } from './tasks.js';

const training: Task = { kind: 'train', mode: 'soft' };
const trained: Task = { kind: 'evaluate', subject: 'soft', set: 'gsm8k', setting: 'soft-sample' };
const base: Task = { kind: 'evaluate', subject: 'base', set: 'gsm8k', setting: 'soft-sample' };

function estimator(runners: number, clock: { now: number }) {
  const tasks = [
    { task: training, work: 100 },
    { task: trained, work: 50 },
    { task: base, work: 50 },
  ];
  return new Estimator(tasks, { runners, secondsPerUnit: 1, now: () => clock.now });
}

test('before anything is measured, the prior speed counts', () => {
  expect(estimator(1, { now: 0 }).estimate()).toEqual({ share: 0, secondsLeft: 200 });
  // Two runners halve it, but the soft model is trained before it is evaluated.
  expect(estimator(2, { now: 0 }).estimate().secondsLeft).toBe(150);
});

test('measured speed replaces the prior, for each kind of task', () => {
  const clock = { now: 0 };
  const state = estimator(1, clock);
  state.start('train soft');
  clock.now = 20;
  state.advance('train soft', 0.1); // 2 s a unit, so evaluation is expected to be as slow
  expect(state.estimate().secondsLeft).toBeCloseTo(90 * 2 + 100 * 2);
  state.start('test base gsm8k soft-sample');
  clock.now = 25;
  state.advance('test base gsm8k soft-sample', 0.5); // 0.2 s a unit
  const { share, secondsLeft } = state.estimate();
  expect(secondsLeft).toBeCloseTo(90 * 2 + (25 + 50) * 0.2);
  expect(share).toBeCloseTo(1 - (90 * 2 + 75 * 0.2) / (200 + 20));
});

test('questions with choices have a speed of their own', () => {
  const clock = { now: 0 };
  const choices: Task = { kind: 'choices', subject: 'base', set: 'arc' };
  const tasks = [
    { task: base, work: 50 },
    { task: choices, work: 40 },
  ];
  const state = new Estimator(tasks, { runners: 1, secondsPerUnit: 1, now: () => clock.now });
  state.start('choices base arc');
  clock.now = 1;
  state.advance('choices base arc', 0.25); // 0.1 s a unit
  expect(state.estimate().secondsLeft).toBeCloseTo(30 * 0.1 + 50 * 0.1);
  state.start('test base gsm8k soft-sample');
  clock.now = 11;
  state.advance('test base gsm8k soft-sample', 0.5); // 0.4 s a unit
  expect(state.estimate().secondsLeft).toBeCloseTo(30 * 0.1 + 25 * 0.4);
});

test('a set with choices is as much work as it has questions', () => {
  const choices: Task = { kind: 'choices', subject: 'base', set: 'arc' };
  const work = (arc: number) =>
    workOf(choices, {} as TrainConfig, { validation: 0, test: { arc: 7 }, choices: { arc } });
  expect(work(200)).toBeGreaterThan(0);
  expect(work(400)).toBe(2 * work(200));
});

test('what goes before the first progress does not count once there is a second', () => {
  const clock = { now: 0 };
  const state = estimator(1, clock);
  state.start('train soft');
  clock.now = 50;
  state.advance('train soft', 0.1); // loading, validating, one part
  clock.now = 60;
  state.advance('train soft', 0.2); // 1 s a unit
  expect(state.estimate().secondsLeft).toBeCloseTo(80 + 100);
});

test('what an earlier run did says nothing of speed, and the share never falls', () => {
  const clock = { now: 0 };
  const state = estimator(1, clock);
  state.start('train soft');
  clock.now = 100;
  state.advance('train soft', 0.5, true);
  expect(state.estimate()).toEqual({ share: 0.25, secondsLeft: 150 });
  clock.now = 110;
  state.advance('train soft', 0.51); // 10 s a unit
  expect(state.estimate().share).toBeGreaterThanOrEqual(0.25);
  state.finish('train soft');
  state.finish('test soft gsm8k soft-sample');
  state.finish('test base gsm8k soft-sample');
  expect(state.estimate()).toEqual({ share: 1, secondsLeft: 0 });
});
