import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { expectClose } from './expectClose.js';

tf.enableProdMode();

describe('expectClose', () => {
  test('passes within abs + rel·|want|', () => {
    expectClose([0.1 + 0.2], [0.3]);
    expectClose([1000.009, 0], [1000, 9e-7]);
    expectClose([2.9], [3], { abs: 0.11, rel: 0 });
    expectClose([], []);
  });

  test('fails beyond it, with the worst element and both values', () => {
    expect(() => expectClose([1, 2.1, 3.5], [1, 2, 3])).toThrow(/element 2 of 3: expected 3, got 3\.5/);
    expect(() => expectClose([1000.02], [1000])).toThrow(/element 0/);
    expect(() => expectClose([2.88], [3], { abs: 0.11, rel: 0 })).toThrow(/abs 0\.11/);
  });

  test('NaN equals only NaN', () => {
    expectClose([Number.NaN], [Number.NaN]);
    expect(() => expectClose([9, Number.NaN, 0], [1, 2, 3])).toThrow(/element 1 .*got NaN/);
    expect(() => expectClose([0], [Number.NaN])).toThrow(/expected NaN, got 0/);
  });

  test('an infinity equals only itself', () => {
    expectClose([Infinity, -Infinity], [Infinity, -Infinity]);
    expect(() => expectClose([1e30], [Infinity])).toThrow(/expected Infinity/);
    expect(() => expectClose([-Infinity], [Infinity])).toThrow(/got -Infinity/);
    expect(() => expectClose([Infinity], [1])).toThrow(/got Infinity/);
  });

  test('length and shape must agree', () => {
    expect(() => expectClose([1], [1, 2])).toThrow(/expected length 2, got 1/);
    expect(() => expectClose(tf.zeros([2, 3]), tf.zeros([3, 2]))).toThrow(/expected shape \[3,2\], got \[2,3\]/);
  });

  test('takes tensors and typed arrays', () => {
    expectClose(tf.tensor2d([[1, 2]]), Float32Array.of(1, 2));
    expect(() => expectClose(Int32Array.of(1, 2), tf.tensor1d([1, 3]))).toThrow(/element 1/);
  });
});
