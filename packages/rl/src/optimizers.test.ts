import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { adamW, disposeState, type Gradients, type Parameters } from './optimizers.js';
import { updateParameters } from './update.js';

const start = { a: [1, -2, 0.5], b: [4] };
const variables = () =>
  new Map(Object.entries(start).map(([name, values]) => [name, tf.variable(tf.tensor1d(values))])) satisfies Parameters;
const gradientsOf = (values: Record<string, number[]>): Gradients =>
  new Map(Object.entries(values).map(([name, gradient]) => [name, tf.tensor1d(gradient)]));
const given = [
  { a: [0.1, -3, 0], b: [200] },
  { a: [-0.2, -1, 1e-3], b: [-50] },
  { a: [0.3, 2, 0], b: [7] },
];

/** Loshchilov and Hutter 2019, algorithm 2, one coordinate at a time in float64. */
function adamWByHand(theta: number, gradients: number[], rate: number, beta1: number, beta2: number, decay: number) {
  let [m, v] = [0, 0];
  gradients.forEach((g, i) => {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const step = m / (1 - beta1 ** (i + 1)) / (Math.sqrt(v / (1 - beta2 ** (i + 1))) + 1e-8);
    theta -= rate * decay * theta + rate * step;
  });
  return theta;
}

eachEngine(useEngine, () => {
  test('golden: three updates of two parameters', () => {
    for (const [beta1, beta2, weightDecay] of [
      [0.9, 0.999, 0],
      [0.8, 0.95, 0.1],
    ] as const) {
      const parameters = variables();
      const optimizer = adamW({ beta1, beta2, weightDecay });
      const state = optimizer.init(parameters);
      const tensors = tf.memory().numTensors;
      for (const values of given) {
        const gradients = gradientsOf(values);
        optimizer.update(parameters, gradients, state, 0.01);
        tf.dispose([...gradients.values()]);
      }
      expect(tf.memory().numTensors).toBe(tensors);
      expect(state.count).toBe(3);
      for (const [name, values] of Object.entries(start) as ['a' | 'b', number[]][]) {
        const want = values.map((theta, i) =>
          adamWByHand(
            theta,
            given.map((step) => step[name][i]!),
            0.01,
            beta1,
            beta2,
            weightDecay,
          ),
        );
        expectClose(parameters.get(name)!.dataSync(), want, { rel: 1e-6 });
      }
      disposeState(state);
    }
  });

  test('clipping scales all gradients by one factor, and tells the norm before it', () => {
    const seen: number[][] = [];
    const optimizer = {
      ...adamW(),
      update: (_: Parameters, gradients: Gradients) => {
        for (const gradient of gradients.values()) seen.push([...gradient.dataSync()]);
      },
    };
    const parameters = variables();
    const state = optimizer.init(parameters);
    const options = { optimizer, parameters, state, learningRate: 1 };
    const tensors = tf.memory().numTensors;
    for (const maxGradientNorm of [1, 10, undefined]) {
      const gradients = gradientsOf({ a: [3, 0, 0], b: [4] });
      expect(updateParameters({ ...options, gradients, maxGradientNorm })).toBeCloseTo(5, 5);
    }
    expectClose(seen.slice(0, 2).flat(), [0.6, 0, 0, 0.8]);
    expect(seen.slice(2).flat()).toEqual([3, 0, 0, 4, 3, 0, 0, 4]);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  test('gradients within the limit, or without one, are updated with to the bit, all zeros too', () => {
    for (const values of [
      { a: [0.1, -1 / 3, 1e-30], b: [Math.fround(Math.PI)] },
      { a: [0, 0, 0], b: [0] },
    ]) {
      for (const maxGradientNorm of [undefined, 100]) {
        const gradients = gradientsOf(values);
        const want = Array.from(gradients.values(), (gradient) => gradient.dataSync<'float32'>().slice());
        const got: Float32Array[] = [];
        const update = (_: Parameters, given: Gradients) => {
          for (const gradient of given.values()) got.push(gradient.dataSync<'float32'>().slice());
        };
        const parameters = variables();
        const optimizer = { ...adamW(), update };
        const state = optimizer.init(parameters);
        updateParameters({ optimizer, parameters, gradients, state, learningRate: 1, maxGradientNorm });
        expect(got).toEqual(want);
        expect([...gradients.values()].every(({ isDisposed }) => isDisposed)).toBe(true);
      }
    }
  });

  test('refuses gradients that are not finite or missing, and leaves everything as it was', () => {
    for (const maxGradientNorm of [undefined, 1]) {
      const parameters = variables();
      const optimizer = adamW();
      const state = optimizer.init(parameters);
      const update = (gradients: Gradients) => () =>
        updateParameters({ optimizer, parameters, gradients, state, learningRate: 0.1, maxGradientNorm });
      expect(update(gradientsOf({ a: [1, Number.NaN, 1], b: [1] }))).toThrow(/finite gradients, got a norm of NaN/);
      expect(update(gradientsOf({ a: [1, Infinity, 1], b: [1] }))).toThrow(/got a norm of Infinity/);
      expect(update(gradientsOf({ a: [1, 1, 1] }))).toThrow(/a gradient for b, got none/);
      state.tensors.delete('b.v');
      expect(update(gradientsOf({ a: [1, 1, 1], b: [1] }))).toThrow(/the moments b.m and b.v, got none/);
      expect(state.count).toBe(0);
      expectClose([...parameters.get('a')!.dataSync(), ...parameters.get('b')!.dataSync()], [1, -2, 0.5, 4]);
    }
  });
});
