import { eachEngine, expectClose, worksHere } from '@soft-tokens/testing';
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

  test('a gradient may be one tensor for two inputs, that of the output, or one that was there before', () => {
    const [x, z, ones] = [tf.tensor1d([1, 2, 3]), tf.tensor1d([4, 5, 6]), tf.tensor1d([1, 1, 1])];
    const add = (gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[]) =>
      tf.customGrad((...args) => {
        const [a, b, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
        save([ones]);
        return { value: tf.add(a, b), gradFunc };
      });
    const twice = <T>(x: T): [T, T] => [x, x];
    const adds = [
      add((dy) => twice(dy)),
      add((dy) => twice(tf.mul(dy, 1))),
      add((_, saved) => twice(saved[0]!)),
      add(() => twice(ones)),
    ];
    // a is read before, after or not at all beside the sum, and so is b
    const use =
      (add: typeof tf.add | (typeof adds)[0], [before, after]: string) =>
      (x: tf.Tensor, z: tf.Tensor) => {
        const of = { a: tf.square(x), b: tf.square(z), '-': ones };
        const first = tf.mul(of[before as 'a'], 2);
        const sum = add(of.a, of.b) as tf.Tensor;
        return tf.addN([tf.sum(first), tf.sum(sum), tf.sum(tf.mul(of[after as 'a'], 3))]);
      };
    const { numTensors } = tf.memory();
    for (const order of ['--', '-a', '-b', 'aa', 'ab', 'ba', 'bb']) {
      const want = tf.grads(use(tf.add, order))([x, z]);
      for (const add of adds) {
        const got = tf.grads((x: tf.Tensor, z: tf.Tensor) => leanTape(() => use(add, order)(x, z)))([x, z]);
        got.forEach((dx, i) => {
          expectClose(dx, want[i]!);
        });
        const dx = tf.grad((x: tf.Tensor) => leanTape(() => use(add, order)(x, z)))(x);
        expectClose(dx, want[0]!);
        tf.dispose([got, dx]);
      }
      tf.dispose(want);
    }
    expect(tf.memory().numTensors).toBe(numTensors);
    expect([x, z, ones].some((t) => t.isDisposed)).toBe(false);
  });

  test('a gradient may be taken within', () => {
    const x = tf.tensor1d([1, 2, -1.5]);
    const cubes = (t: tf.Tensor) => tf.sum(tf.mul(t, tf.square(t)));
    // sum of (d t^3 / dt)^2 + t^2 with t = x^2: 9 x^8 + x^4
    const penalty = (x: tf.Tensor) => {
      const t = tf.square(x);
      return tf.add(tf.sum(tf.square(tf.grad(cubes)(t))), tf.sum(tf.square(t)));
    };
    const { numTensors } = tf.memory();
    const got = tf.grad((x: tf.Tensor) => leanTape(() => penalty(x)))(x);
    const want = [1, 2, -1.5].map((x) => 72 * x ** 7 + 4 * x ** 3);
    expect(tf.memory().numTensors).toBe(numTensors + 1);
    expectClose(got, tf.tensor1d(want));
  });

  test("the caller's gradient of the result stays", () => {
    const [x, dy] = [tf.tensor1d([1, 2, 3]), tf.tensor1d([1, 0, 2])];
    const passing = tf.customGrad((a) => ({ value: tf.mul(a as tf.Tensor, 1), gradFunc: (dy) => dy }));
    const square = (t: tf.Tensor) => leanTape(() => tf.square(t));
    const functions = [
      square,
      (t: tf.Tensor) => tf.mul(square(t), 1), // the end is outside
      (t: tf.Tensor) => leanTape(() => tf.reshape(square(t), [3])),
      (t: tf.Tensor) => leanTape(() => passing(tf.square(t))),
      (t: tf.Tensor) => leanTape(() => passing(passing(tf.square(t)))),
    ];
    for (const f of functions) {
      expectClose(tf.grad(f)(x, dy), tf.tensor1d([2, 0, 12]));
      expect(dy.isDisposed).toBe(false);
    }
  });

  test('a gradient that nobody asked for goes when the next operation begins', () => {
    const [x, frozen] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
    const unasked: tf.Tensor[] = [];
    const live: number[] = [];
    const mul = tf.customGrad((...args) => {
      const [a, b, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
      save([a, b]);
      return {
        value: tf.mul(a, b),
        gradFunc: (dy, saved) => {
          const [a, b] = saved as [tf.Tensor, tf.Tensor];
          live.push(unasked.filter((t) => !t.isDisposed).length);
          const db = tf.mul(dy, a);
          unasked.push(db);
          return [tf.mul(dy, b), db];
        },
      };
    });
    const cubic = (x: tf.Tensor) => leanTape(() => mul(mul(mul(x, frozen), frozen), frozen));
    expectClose(tf.grad(cubic)(x), tf.tensor1d([27, 64]));
    expect(live).toEqual([0, 0, 0]);
  });

  test('an error in the forward pass comes through', () => {
    const fails = tf.grad((t: tf.Tensor) => leanTape((): tf.Tensor => tf.matMul(t as tf.Tensor2D, tf.ones([9, 9]))));
    expect(() => fails(tf.ones([2, 2]))).toThrow(/inner shapes/);
  });
});

test.skipIf(!(await worksHere(useEngine, 'native')))(
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
