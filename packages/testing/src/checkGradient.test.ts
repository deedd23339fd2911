import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { checkGradient } from './checkGradient.js';

tf.enableProdMode();

/** x³ with the gradient dy · slope(x), right or wrong. */
const cube = (slope: (x: tf.Tensor) => tf.Tensor) =>
  tf.customGrad((x, save) => {
    (save as (tensors: tf.Tensor[]) => void)([x as tf.Tensor]);
    const value = tf.mul(x as tf.Tensor, tf.mul(x as tf.Tensor, x as tf.Tensor));
    return { value, gradFunc: (dy, [saved]) => tf.mul(dy, slope(saved!)) };
  });

/** x · y with the gradient of y times `factor`. */
const product = (factor: number) =>
  tf.customGrad((x, y, save) => {
    (save as (tensors: tf.Tensor[]) => void)([x as tf.Tensor, y as tf.Tensor]);
    return {
      value: tf.mul(x as tf.Tensor, y as tf.Tensor),
      gradFunc: (dy, saved) => [tf.mul(dy, saved[1]!), tf.mul(tf.mul(dy, saved[0]!), factor)],
    };
  });

const right = (x: tf.Tensor) => tf.mul(3, tf.mul(x, x));
const x = tf.tensor2d([
  [0.5, -1.25, 2],
  [1, 0.1, -0.75],
]);

describe('checkGradient', () => {
  test('passes a right gradient, of a scalar and of a tensor', () => {
    checkGradient(cube(right), [x]);
    checkGradient(cube(right), [tf.scalar(1.5)]);
    checkGradient(product(1), [x, tf.add(x, 1)]);
  });

  test('fails a wrong sign, factor or element', () => {
    expect(() =>
      checkGradient(
        cube((v) => tf.neg(right(v))),
        [x],
      ),
    ).toThrow(/input 0 along/);
    expect(() =>
      checkGradient(
        cube((v) => tf.mul(right(v), 1.03)),
        [x],
      ),
    ).toThrow(/input 0 along/);
    const oneOff = tf.tensor2d([
      [1, 1, 1],
      [1, 1, 0.9],
    ]);
    expect(() =>
      checkGradient(
        cube((v) => tf.mul(right(v), oneOff)),
        [x],
      ),
    ).toThrow(/input 0 along/);
  });

  test('names the input that is wrong', () => {
    expect(() => checkGradient(product(0.9), [x, tf.add(x, 1)])).toThrow(/input 1 along/);
  });

  test('single coordinates find what directions alone would pass', () => {
    // Both slopes are wrong and cancel along (1, 1); with one coordinate they cannot.
    const swapped = tf.tensor1d([2, 0]);
    const sum = tf.customGrad((v) => ({
      value: tf.mul(v as tf.Tensor, 1),
      gradFunc: (dy) => tf.mul(dy, swapped),
    }));
    expect(() => checkGradient(sum, [tf.tensor1d([1, 1])], { directions: 0 })).toThrow(/along coordinate/);
  });

  test('fails NaN and a wrong shape', () => {
    expect(() =>
      checkGradient(
        cube((v) => tf.mul(right(v), Number.NaN)),
        [x],
      ),
    ).toThrow(/got NaN/);
    const summed = tf.customGrad((v) => ({ value: tf.add(v as tf.Tensor, 1), gradFunc: (dy) => tf.sum(dy) }));
    expect(() => checkGradient(summed, [x])).toThrow(/shape/);
  });

  test('leaves no tensor behind', () => {
    const before = tf.memory().numTensors;
    checkGradient(cube(right), [x]);
    expect(tf.memory().numTensors).toBe(before);
  });
});
