import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { engineMemory, useEngine } from './engine.js';
import { linear } from './ops/linear.js';
import { swiglu } from './ops/swiglu.js';
import { leanTape } from './tape.js';
import { normal } from './test/cases.js';

/** A function through every operation whose saved tensors go at once, and a few others. */
function f(x: tf.Tensor2D, w: tf.Tensor2D): tf.Scalar {
  return tf.tidy(() => {
    const rows = tf.add(linear(x, w), tf.sum(w)); // sum, add with a broadcast
    const wide = tf.concat([rows, tf.sub(x, rows), tf.mul(x, rows)], 1);
    const cut = tf.slice(tf.reshape(wide, [-1, 6]), [1, 0], [3, 6]);
    const padded = tf.pad(tf.expandDims(cut, 0), [
      [0, 0],
      [1, 0],
      [0, 2],
    ]);
    return tf.mean(swiglu(padded, tf.square(padded))) as tf.Scalar;
  });
}

eachEngine(useEngine, () => {
  test('gradients are the same, and no tensor is left', () => {
    const [x, w] = [normal([4, 4], 1) as tf.Tensor2D, normal([4, 4], 2) as tf.Tensor2D];
    const gradients = (lean: boolean) =>
      tf.valueAndGrads((a: tf.Tensor, b: tf.Tensor) => {
        const value = () => f(a as tf.Tensor2D, b as tf.Tensor2D);
        return lean ? leanTape(value) : value();
      })([x, w]);
    const expected = gradients(false);
    const { numTensors } = tf.memory();
    const got = gradients(true);
    expect(tf.memory().numTensors).toBe(numTensors + 3);
    expectClose(got.value, expected.value);
    got.grads.forEach((gradient, i) => {
      expectClose(gradient, expected.grads[i]!);
    });
  });

  test('one tensor may be read often, and be the result', () => {
    const x = tf.tensor1d([1, 2, 3]);
    const cube = tf.grad((t: tf.Tensor) => leanTape(() => tf.sum(tf.mul(t, tf.mul(t, t)))));
    expectClose(cube(x), tf.tensor1d([3, 12, 27]));
    expectClose(tf.grad((t: tf.Tensor) => leanTape(() => tf.add(t, t)))(x), tf.tensor1d([2, 2, 2]));
    expectClose(tf.grad((t: tf.Tensor) => leanTape(() => tf.clone(t)))(x), tf.tensor1d([1, 1, 1]));
  });

  test('does nothing in the gradient of a gradient, nor where no gradient is taken', () => {
    const x = tf.tensor1d([1, 2, 3]);
    const cube = (t: tf.Tensor) => leanTape(() => tf.mul(t, tf.mul(t, t)));
    expectClose(tf.grad((t: tf.Tensor) => tf.grad(cube)(t))(x), tf.tensor1d([6, 12, 18]));
    expectClose(cube(x), tf.tensor1d([1, 8, 27]));
  });

  test('an error in the forward pass comes through', () => {
    const fails = tf.grad((t: tf.Tensor) => leanTape((): tf.Tensor => tf.matMul(t as tf.Tensor2D, tf.ones([9, 9]))));
    expect(() => fails(tf.ones([2, 2]))).toThrow(/inner shapes/);
  });
});

test.skipIf(!(await works('native')))(
  'the backward pass frees activations and their gradients as it goes',
  async () => {
    await useEngine('native');
    const deep = (x: tf.Tensor) => {
      let y = x;
      for (let i = 0; i < 20; i++) y = tf.tidy(() => tf.add(swiglu(y, y), y));
      return tf.sum(y) as tf.Scalar;
    };
    const x = tf.mul(tf.ones([1_000_000]), 0.01);
    const most = (lean: boolean) => {
      const before = engineMemory().live;
      tf.grad((t: tf.Tensor) => (lean ? leanTape(() => deep(t)) : deep(t)))(x).dispose();
      expect(engineMemory().live).toBe(before);
      return (engineMemory().peak - before) / (4 * x.size);
    };
    const lean = most(true); // first: a peak is for ever
    expect(lean).toBeLessThan(20 + 8); // each y, and what is in hand: none of the gradients of 60 reads of a y
    expect(most(false)).toBeGreaterThan(3 * lean);
    x.dispose();
  },
);

async function works(engine: 'native'): Promise<boolean> {
  return useEngine(engine).then(
    () => true,
    (error: Error) => {
      console.warn(`skipped: ${error.message}`);
      return false;
    },
  );
}
