import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectCase, normal, rowOf, tensorOf } from '../test/cases.js';
import { headLogits, headLogProb, headMixture } from './head.js';

const identity = (n: number) => tf.eye(n) as tf.Tensor2D;
const ints = (...values: number[]) => tf.tensor1d(values, 'int32');

// METHOD E4: three tokens in two dimensions.
const E = (): tf.Tensor2D => tf.tensor2d([1, 0, 0, 1, -1, -1], [3, 2]);

eachEngine(useEngine, (engine) => {
  describe('headLogits', () => {
    test('golden', () => {
      expectClose(headLogits(tf.tensor3d([2, 5], [1, 1, 2]), E()), tf.tensor3d([2, 5, -7], [1, 1, 3]));
    });
  });

  describe('headLogProb', () => {
    test.each(cases.headLogProb)('as PyTorch: $name', (recorded) => {
      const ids = tensorOf(recorded.ids, 'int32');
      expectCase(recorded, ({ hidden, weight }) =>
        headLogProb(hidden!, weight as tf.Tensor2D, ids, recorded.temperature),
      );
    });

    test('golden: log softmax of [2, 1, 0]', () => {
      const z = tf.tensor2d([2, 1, 0, 2, 1, 0], [2, 3]);
      const at = (temperature: number) => headLogProb(z, identity(3), ints(0, 2), temperature).dataSync();
      expectClose(at(1), [Math.log(0.665240955775), Math.log(0.0900305731704)]);
      expectClose(at(0.5), [Math.log(0.866813332197), Math.log(0.0158762399765)]);
    });

    test('gradient', () => {
      const ids = tf.tensor2d([4, 0, 4, 2], [2, 2], 'int32');
      const inputs: [tf.Tensor3D, tf.Tensor2D] = [normal([2, 2, 3], 1), normal([5, 3], 2)];
      checkGradient((h, w) => headLogProb(h, w, ids, 1), inputs);
      checkGradient((h, w) => headLogProb(h, w, ids, 0.4), inputs);
    });

    test('a batch is its rows, in the shape of the ids', () => {
      const [hidden, weight] = [normal([3, 2, 4], 1), normal<tf.Tensor2D>([7, 4], 2)];
      const ids = tf.tensor2d([6, 0, 1, 2, 3, 3], [3, 2], 'int32');
      const y = headLogProb(hidden, weight, ids, 0.7);
      for (let b = 0; b < 3; b++) expectClose(headLogProb(rowOf(hidden, b), weight, rowOf(ids, b), 0.7), rowOf(y, b));
    });

    test('logits of ±1e4: finite, at most 0, and their digits kept', () => {
      const z = tf.tensor2d([1e4, 9999.5, -1e4], [1, 3]);
      const at = (id: number, temperature: number) => headLogProb(z, identity(3), ints(id), temperature).dataSync()[0]!;
      expectClose(
        [at(0, 1), at(1, 1), at(2, 1)],
        [-Math.log1p(Math.exp(-0.5)), -0.5 - Math.log1p(Math.exp(-0.5)), -20000.474],
      );
      for (const id of [0, 1, 2]) {
        for (const temperature of [1, 0.5, 1e-4]) {
          expect(at(id, temperature)).toBeLessThanOrEqual(0);
          expect(at(id, temperature)).toBeGreaterThan(-Infinity);
        }
      }
      // At τ = 1e-4 a gap of 1e-4 is one nat, though logits of 2 are 20000 there.
      const close = headLogProb(tf.tensor2d([2, 1.9999, 0], [1, 3]), identity(3), ints(1), 1e-4);
      expectClose(close.dataSync(), [Math.log(0.2689414214)], { abs: 1e-3 });
    });

    test('logits of ±1e4: finite gradients', () => {
      const z = tf.tensor2d([1e4, 9999.5, -1e4], [1, 3]);
      const gradient = tf.grad((h) => headLogProb(h, identity(3), ints(1), 1))(z);
      expectClose(gradient.dataSync(), [-0.6224593312, 0.6224593312, 0]); // onehot - p
    });

    test('refuses τ = 0 and ids that are not integers', () => {
      expect(() => headLogProb(tf.ones([1, 2]), E(), ints(0), 0)).toThrow(
        new RangeError('headLogProb: expected a temperature > 0, got 0; for τ → 0 take the argmax'),
      );
      expect(() => headLogProb(tf.ones([1, 2]), E(), tf.tensor1d([0]), 1)).toThrow(
        new TypeError('headLogProb: expected ids of dtype int32, got float32; cast them'),
      );
    });
  });

  test('both refuse a hidden state of another width', () => {
    const got = 'expected hidden of width 2 (weight [3,2]), got [1,1]; take both from one model';
    expect(() => headLogProb(tf.ones([1, 1]), E(), ints(0), 1)).toThrow(new RangeError(`headLogProb: ${got}`));
    expect(() => headMixture(tf.ones([1, 1]), E(), E(), 1)).toThrow(new RangeError(`headMixture: ${got}`));
  });

  test('headLogProb refuses more or fewer ids than positions', () => {
    for (const ids of [ints(0), ints(0, 1, 2)]) {
      expect(() => headLogProb(tf.ones([2, 2]), E(), ids, 1)).toThrow(
        new RangeError(
          `headLogProb: expected one id for each position of hidden [2,2], got [${ids.shape}]; ` +
            'give ids without the last axis',
        ),
      );
    }
  });

  test.runIf(engine === 'native')('headLogProb refuses ids outside the vocabulary, and says which', () => {
    expect(() => headLogProb(tf.ones([2, 2]), E(), ints(2, 3), 1)).toThrow(
      new RangeError('headLogProb: ids[1]: expected an id in 0..2, got 3; use the tokenizer that belongs to the table'),
    );
  });

  test('headMixture refuses an embedding of another vocabulary', () => {
    for (const rows of [2, 4]) {
      expect(() => headMixture(tf.ones([1, 2]), E(), tf.ones([rows, 2]), 1)).toThrow(
        new RangeError(
          `headMixture: expected an embedding of 3 rows (weight [3,2]), got [${rows},2]; take both from one checkpoint`,
        ),
      );
    }
  });

  describe('headMixture', () => {
    test.each(cases.headMixture)('as PyTorch: $name', (recorded) => {
      expectCase(recorded, ({ hidden, weight, embedding }) =>
        headMixture(hidden!, weight as tf.Tensor2D, (embedding ?? weight) as tf.Tensor2D, recorded.temperature),
      );
    });

    test('golden: METHOD E4', () => {
      const z = tf.tensor2d([2, 1, 0], [1, 3]);
      const at = (temperature: number) => headMixture(z, identity(3), E(), temperature).dataSync();
      expectClose(at(1), [0.5752103826, 0.1546978979]);
      expectClose(at(0.5), [0.8509370922, 0.1014341878]);
      expectClose(at(1e-4), [1, 0]);
    });

    test('golden: ties and gaps at τ = 1e-4', () => {
      const at = (...z: number[]) => headMixture(tf.tensor2d(z, [1, 3]), identity(3), identity(3), 1e-4).dataSync();
      expectClose(at(2, 2, 0), [0.5, 0.5, 0]);
      // 1.9999 is not a float32: its neighbour is 1.1e-8 away, a change of 1.1e-4 nats.
      expectClose(at(2, 1.9999, 0), [0.7310585786, 0.2689414214, 0], { abs: 1e-4 });
      expectClose(at(2, 1.999, 0), [0.9999546021, 4.5398e-5, 0], { abs: 1e-7 });
      expectClose(at(2000, 2000, 0), [0.5, 0.5, 0]);
    });

    test('gradient', () => {
      const inputs: [tf.Tensor3D, tf.Tensor2D, tf.Tensor2D] = [
        normal([2, 2, 3], 1),
        normal([5, 3], 2),
        normal([5, 4], 3),
      ];
      checkGradient((h, w, e) => headMixture(h, w, e, 1), inputs);
      checkGradient((h, w, e) => headMixture(h, w, e, 0.4), inputs);
    });

    test('a batch is its rows', () => {
      const [hidden, weight] = [normal([3, 2, 4], 1), normal<tf.Tensor2D>([7, 4], 2)];
      const y = headMixture(hidden, weight, weight, 0.7);
      expect(y.shape).toEqual([3, 2, 4]);
      for (let b = 0; b < 3; b++) expectClose(headMixture(rowOf(hidden, b), weight, weight, 0.7), rowOf(y, b));
    });

    test('logits of ±1e4: finite values and gradients', () => {
      const z = tf.tensor2d([1e4, 1e4, -1e4], [1, 3]);
      expectClose(headMixture(z, identity(3), E(), 1).dataSync(), [0.5, 0.5]);
      const gradient = tf.grad((h) => headMixture(h, identity(3), E(), 1))(z, tf.tensor2d([1, 0], [1, 2]));
      expectClose(gradient.dataSync(), [0.25, -0.25, 0]);
    });

    test('refuses τ = 0', () => {
      expect(() => headMixture(tf.ones([1, 2]), E(), E(), 0)).toThrow(
        new RangeError('headMixture: expected a temperature > 0, got 0; for τ → 0 take the argmax'),
      );
    });
  });

  describe('chunks', () => {
    // At this vocabulary a chunk has 64 rows, so 150 positions make three chunks, and 75 make two; the last is shorter.
    const [N, V, d] = [engine === 'cpu' ? 75 : 150, 2 ** 15, 2];
    const hidden = () => normal([N, d], 1);
    const weight = () => normal<tf.Tensor2D>([V, d], 2);
    const ids = () => tf.tensor1d(Int32Array.from({ length: N }, (_, n) => [77, V - 1, 77, 0, 1234, n][n % 6]!));

    /** Values, and gradients summed over the positions, a third of them a call: each of these one chunk. */
    function inParts(f: (h: tf.Tensor, w: tf.Tensor2D, row: number, size: number) => tf.Tensor, dy: tf.Tensor) {
      const size = N / 3;
      const [h, w] = [hidden(), weight()];
      const whole = tf.valueAndGrads((h, w) => f(h!, w as tf.Tensor2D, 0, N))([h, w], dy);
      const parts = Array.from({ length: N / size }, (_, i) =>
        tf.valueAndGrads((h, w) => f(h!, w as tf.Tensor2D, i * size, size))(
          [tf.slice(h, i * size, size), w],
          tf.slice(dy, i * size, size),
        ),
      );
      expectClose(whole.value, tf.concat(parts.map((part) => part.value)));
      expectClose(whole.grads[0]!, tf.concat(parts.map((part) => part.grads[0]!)));
      expectClose(whole.grads[1]!, tf.addN(parts.map((part) => part.grads[1]!)));
    }

    test('change neither values nor gradients of headLogProb', () => {
      tf.tidy(() => {
        const all = ids();
        inParts((h, w, row, size) => headLogProb(h, w, tf.slice(all, row, size), 0.5), normal([N], 3));
      });
    });

    test('change neither values nor gradients of headMixture', () => {
      tf.tidy(() => inParts((h, w) => headMixture(h, w, w, 0.5), normal([N, d], 3)));
    });

    test.skipIf(engine === 'cpu')('keep memory below the whole of [positions, V]', async () => {
      const [h, w] = [normal([512, d], 1), normal<tf.Tensor2D>([2 ** 15, d], 2)];
      const before = tf.memory().numBytes;
      const { peakBytes } = await tf.profile(() => tf.tidy(() => headMixture(h, w, w, 0.5)));
      expect(peakBytes - before).toBeLessThan(4 * 512 * 2 ** 15);
    });
  });
});
