import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectNear, tensorOf } from '../test/cases.js';
import { type AdamWState, adamWStep } from './adamW.js';

const options = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.5, step: 1 };

const startAt = (parameter: tf.Tensor): AdamWState => ({
  parameter,
  firstMoment: tf.zerosLike(parameter),
  secondMoment: tf.zerosLike(parameter),
});

eachEngine(useEngine, () => {
  test.each(cases.adamW)('as PyTorch, five updates: $name', ({ learningRates, initial, steps, ...settings }) => {
    let state = startAt(tensorOf(initial.parameter));
    steps.forEach((want, i) => {
      const update = { ...settings, learningRate: learningRates[i]!, step: i + 1 };
      state = adamWStep(state, tensorOf(want.gradient), update);
      expectNear(state.parameter, want.parameter, 1e-6);
      expectNear(state.firstMoment, want.m);
      expectNear(state.secondMoment, want.v);
    });
  });

  test('golden: the first update is η sign(g) after the decay', () => {
    // m̂ = g, v̂ = g²: θ (1 - 0.1 · 0.5) - 0.1 sign(g)
    const next = adamWStep(startAt(tf.tensor1d([2, 2])), tf.tensor1d([4, -1e-3]), options);
    expectClose(next.parameter, tf.tensor1d([1.8, 2]), { abs: 1e-5 });
    expectClose(next.firstMoment, tf.tensor1d([0.4, -1e-4]));
    expectClose(next.secondMoment, tf.tensor1d([0.16, 1e-8]), { abs: 1e-12 });
  });

  test('returns three new tensors, leaves nothing else behind and the old ones alone', () => {
    const state = startAt(tf.tensor1d([2, 2]));
    const gradient = tf.tensor1d([4, -1]);
    const before = tf.memory().numTensors;
    adamWStep(state, gradient, options);
    expect(tf.memory().numTensors).toBe(before + 3);
    expectClose(state.parameter, tf.tensor1d([2, 2]));
    expectClose(state.firstMoment, tf.tensor1d([0, 0]));
  });

  test('refuses a gradient or moment of another shape', () => {
    const state = startAt(tf.ones([2, 3]));
    expect(() => adamWStep(state, tf.ones([3, 2]), options)).toThrow(
      new RangeError(
        "adamWStep: gradient: expected the parameter's shape [2,3], got [3,2]; give each parameter its own",
      ),
    );
    expect(() => adamWStep(state, tf.ones([3]), options)).toThrow(/gradient: .* got \[3\];/);
    for (const name of ['firstMoment', 'secondMoment']) {
      expect(() => adamWStep({ ...state, [name]: tf.ones([1]) }, tf.ones([2, 3]), options)).toThrow(
        new RegExp(`^adamWStep: ${name}: .* got \\[1\\];`),
      );
    }
  });

  test('refuses update 0, whose moments cannot be corrected', () => {
    expect(() => adamWStep(startAt(tf.tensor1d([2])), tf.tensor1d([4]), { ...options, step: 0 })).toThrow(
      new RangeError('adamWStep: expected step >= 1, got 0; the first update is number 1'),
    );
  });
});
