import { useEngine } from '@soft-tokens/tensor';
import { checkGradient, eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { gaussianKl, klEstimate } from './kl.js';

eachEngine(
  useEngine,
  () => {
    test('golden: METHOD E7, k1, k2 and k3 of one token', () => {
      const estimates = (estimator: 'k1' | 'k2' | 'k3') =>
        klEstimate(tf.tensor1d([-1, -2]), tf.tensor1d([-1.2, -1.5]), estimator).dataSync();
      expectClose(estimates('k1'), [0.2, -0.5], { rel: 1e-5 });
      expectClose(estimates('k2'), [0.02, 0.125], { rel: 1e-5 });
      expectClose(estimates('k3'), [0.0187307531, 0.1487212707], { rel: 1e-5 });
    });

    test('on average k1 and k3 are the divergence, exactly so for three tokens; k3 is never below 0', () => {
      const [p, q] = [[0.7, 0.2, 0.1], [0.5, 0.2, 0.3]] as const; // biome-ignore format: two distributions
      const divergence = p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]!), 0);
      const logs = (x: readonly number[]) => tf.tensor1d(x.map(Math.log));
      for (const estimator of ['k1', 'k3'] as const) {
        const values = klEstimate(logs(p), logs(q), estimator).dataSync();
        expectClose([p.reduce((sum, x, i) => sum + x * values[i]!, 0)], [divergence], { rel: 1e-5 });
        if (estimator === 'k3') expect(values.every((value) => value >= 0)).toBe(true);
      }
    });

    test('as losses of drawn tokens: k1 holds nothing, k2 and k3 descend one divergence each', () => {
      const [z, w] = [tf.tensor1d([0.3, -1, 0.8, 0.1]), tf.tensor1d([-0.5, 0.4, 0, 1.1])];
      const [p, logRef] = [tf.softmax(z), tf.logSoftmax(w)];
      const drawn = (estimator: 'k1' | 'k2' | 'k3') =>
        tf.grad((x) => tf.sum(tf.mul(p, klEstimate(tf.logSoftmax(x), logRef, estimator))))(z);
      const toReference = tf.grad((x) => tf.sum(tf.mul(tf.softmax(x), tf.sub(tf.logSoftmax(x), logRef))))(z);
      const fromReference = tf.grad((x) => tf.sum(tf.mul(tf.exp(logRef), tf.sub(logRef, tf.logSoftmax(x)))))(z);
      expectClose(drawn('k1'), [0, 0, 0, 0]);
      expectClose(drawn('k2'), toReference);
      expectClose(drawn('k3'), fromReference);
      expect(Math.abs(toReference.dataSync()[0]! - fromReference.dataSync()[0]!)).toBeGreaterThan(0.01);
    });

    test('golden: METHOD E3, two Gaussians of one σ; and the gradient', () => {
      expectClose(gaussianKl(tf.tensor1d([0.1, 0.2]), tf.tensor1d([0, 0.25]), 0.1).dataSync(), [0.625], { rel: 1e-5 });
      const [mean, reference] = [tf.randomNormal([2, 3, 4], 0, 1, 'float32', 1), tf.zeros([2, 3, 4])];
      expect(gaussianKl(mean, reference, 1).shape).toEqual([2, 3]);
      checkGradient((x) => gaussianKl(x, reference, 0.7), [mean]);
      checkGradient((x) => klEstimate(x, tf.zeros([2, 3, 4]), 'k3'), [tf.mul(mean, 0.3)]);
    });
  },
  enginesUnderTest,
);

test('refuses a scale that is not positive', () => {
  for (const scale of [0, -1, Number.NaN]) {
    expect(() => gaussianKl(tf.zeros([2]), tf.zeros([2]), scale)).toThrow(
      new RangeError(`gaussianKl: expected a noise scale > 0, got ${scale}`),
    );
  }
});
