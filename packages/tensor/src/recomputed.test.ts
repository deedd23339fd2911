import { checkGradient, eachEngine, expectClose, worksHere } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { engineMemory, useEngine } from './engine.js';
import { embedding } from './ops/embedding.js';
import { linear } from './ops/linear.js';
import { swiglu } from './ops/swiglu.js';
import { recomputed } from './recomputed.js';
import { leanTape } from './tape.js';
import { normal } from './test/cases.js';

/** f as it is, or recomputed. */
type Wrap = typeof recomputed;
const asItIs: Wrap = (f, x) => f(x);

eachEngine(useEngine, (engine) => {
  describe('pieces in a row', () => {
    let gate: tf.Variable<tf.Rank.R2>;
    let table: tf.Variable<tf.Rank.R2>;
    let xs: tf.Tensor[];
    beforeAll(() => {
      gate = tf.variable(normal([4, 4], 1)) as tf.Variable<tf.Rank.R2>;
      table = tf.variable(normal([5, 4], 2)) as tf.Variable<tf.Rank.R2>;
      xs = [normal([3, 4], 3), normal([3, 4], 4)];
    });
    afterAll(() => tf.dispose([gate, table, ...xs]));

    /** Three pieces: an input and an output that are ids, an input handed on, two outputs that nothing reads. */
    function pieces(wrap: Wrap, a: tf.Tensor, b: tf.Tensor): tf.Tensor {
      return tf.tidy(() => {
        let sum = a;
        for (const id of [0, 3, 0]) {
          const { y, handedOn } = wrap(
            ({ sum, b, ids }) => {
              const wide = swiglu(linear(sum, gate), tf.mul(b, embedding(table, ids)));
              return { y: tf.add(wide, sum), unread: tf.square(wide), ids, handedOn: sum };
            },
            { sum, b, ids: tf.tensor1d([id, 1, 1], 'int32') },
          );
          sum = tf.mul(y, handedOn);
        }
        return sum;
      });
    }

    const gradients = (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) => {
      const variables = [gate, table];
      const { value, grads } = tf.engine().gradients(() => leanTape(() => f(xs[0]!, xs[1]!)), [...xs, ...variables]);
      return [value, ...grads];
    };

    test('value, gradients of inputs and of variables are those of f, and no tensor is left', () => {
      const { numTensors } = tf.memory();
      const want = gradients((a, b) => pieces(asItIs, a, b));
      expect(tf.memory().numTensors).toBe(numTensors + 5);
      const nested: Wrap = (f, x) => recomputed((x) => recomputed(f, x), x);
      for (const wrap of [recomputed, nested]) {
        const got = gradients((a, b) => pieces(wrap, a, b));
        got.forEach((x, i) => {
          if (engine === 'native') expect(x.dataSync()).toEqual(want[i]!.dataSync());
          expectClose(x, want[i]!);
        });
        tf.dispose(got);
      }
      tf.dispose(want);
      expect(tf.memory().numTensors).toBe(numTensors);
    });

    test('numerically', () => {
      checkGradient((a, b) => pieces(recomputed, a, b), [xs[0]!, xs[1]!]);
    });

    test('without a gradient it is f', () => {
      const { numTensors } = tf.memory();
      const y = pieces(recomputed, xs[0]!, xs[1]!);
      expect(tf.memory().numTensors).toBe(numTensors + 1);
      expectClose(y, pieces(asItIs, xs[0]!, xs[1]!));
    });
  });

  test('what cannot be reached has the gradient 0', () => {
    const [x, other] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
    const f = (x: tf.Tensor, other: tf.Tensor) =>
      recomputed(({ x, other }) => ({ y: tf.add(tf.square(x), tf.zerosLike(other)), z: tf.square(other) }), {
        x,
        other,
      }).y;
    const [dx, dOther] = tf.grads(f)([x, other]);
    expectClose(dx!, tf.tensor1d([2, 4]));
    expectClose(dOther!, tf.tensor1d([0, 0]));
  });

  test('the gradient of a gradient', () => {
    const cube = (x: tf.Tensor) => recomputed(({ x }) => ({ y: tf.mul(x, tf.mul(x, x)) }), { x }).y;
    const x = tf.tensor1d([1, 2, 3]);
    expectClose(tf.grad((t: tf.Tensor) => tf.grad(cube)(t))(x), tf.tensor1d([6, 12, 18]));
  });

  test('a gradient within, and one of which the caller gives that of the result', () => {
    const x = tf.tensor1d([1, 2, -1.5]);
    const cube = (x: tf.Tensor) => recomputed(({ x }) => ({ y: tf.mul(x, tf.mul(x, x)) }), { x }).y;
    // (d x^3 / dx)^2 + x^3 = 9 x^4 + x^3
    const penalty = (x: tf.Tensor) => leanTape(() => tf.add(tf.square(tf.grad(cube)(x)), cube(x)));
    const { numTensors } = tf.memory();
    const got = tf.grad(penalty)(x);
    expect(tf.memory().numTensors).toBe(numTensors + 1);
    expectClose(got, tf.tensor1d([1, 2, -1.5].map((x) => 36 * x ** 3 + 3 * x ** 2)));

    const dy = tf.tensor1d([1, 0, 2]);
    expectClose(tf.grad((x: tf.Tensor) => leanTape(() => cube(tf.square(x))))(x, dy), tf.tensor1d([6, 0, -91.125]));
    expect(dy.isDisposed).toBe(false);
  });

  test('an error comes through, of the first run and of the second, and the next gradient is right', () => {
    for (const failing of [1, 2]) {
      let run = 0;
      const f = ({ x }: { x: tf.Tensor }) => {
        if (++run === failing) throw new Error(`run ${run}`);
        return { y: tf.square(x) };
      };
      const gradient = tf.grad((x: tf.Tensor) => recomputed(f, { x }).y);
      expect(() => gradient(tf.scalar(3))).toThrow(`run ${failing}`);
      expectClose(gradient(tf.scalar(3)), tf.scalar(6));
    }
  });
});

test.skipIf(!(await worksHere(useEngine, 'native')))(
  'of a stack the gradient keeps the inputs and one inside',
  async () => {
    await useEngine('native');
    const inside = ({ x }: { x: tf.Tensor }) => {
      let y = x;
      for (let i = 0; i < 5; i++) y = swiglu(y, y);
      return { y: tf.add(x, y) };
    };
    const stack = (wrap: Wrap, x: tf.Tensor) => {
      let y = x;
      for (let i = 0; i < 8; i++) y = tf.tidy(() => wrap(inside, { x: y }).y);
      return tf.sum(y) as tf.Scalar;
    };
    const x = tf.mul(tf.ones([1_000_000]), 0.01);
    const most = (wrap: Wrap) => {
      const before = engineMemory().live;
      tf.grad((t: tf.Tensor) => leanTape(() => stack(wrap, t)))(x).dispose();
      expect(engineMemory().live).toBe(before);
      return (engineMemory().peak - before) / (4 * x.size);
    };
    const again = most(recomputed); // first: a peak is for ever
    expect(again).toBeLessThan(8 + 5 + 6); // inputs, one inside, and the gradients on the way
    expect(most(asItIs)).toBeGreaterThan(8 * 5);
    x.dispose();
  },
);
