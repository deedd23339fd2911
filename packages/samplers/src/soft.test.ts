import { createNoise, useEngine } from '@soft-tokens/tensor';
import { checkGradient, eachEngine, expectClose, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { fuzzy } from './fuzzy.js';
import { soft } from './soft.js';
import { fixedNoise, headModel, threeTokens } from './test/models.js';

const [temperature, noiseScale] = [0.5, 0.2694438717];
const model = () => headModel(tf.tensor2d(threeTokens));
const z = () => tf.tensor2d([[2, 1, 0]]);
const eps = fixedNoise({ normal: [[0.5, -1]] });
const asSequence = <T extends tf.Tensor>(x: T) => tf.expandDims(x, 1) as tf.Tensor3D;

eachEngine(useEngine, () => {
  describe('METHOD E4, soft', () => {
    const sampler = soft({ temperature, noiseScale });

    test('the step', () => {
      const { input, action, shadow } = sampler.step(z(), model(), eps);
      expectClose(input.dataSync(), [0.9856590281, -0.1680096839]);
      expectClose(action.input, input, { rel: 0, abs: 0 });
      expect([...shadow]).toEqual([0]);
      expectClose(
        soft({ temperature, noiseScale: 0 }).step(z(), model(), eps).input.dataSync(),
        [0.8509370922, 0.1014341878],
      );
    });

    test('its log-probability, and the derivative in the logits', () => {
      const { action } = sampler.step(z(), model(), eps);
      const recorded = { input: asSequence(action.input) };
      const logProb = (h: tf.Tensor) => sampler.logProb(h as tf.Tensor3D, model(), recorded);
      expectClose(logProb(asSequence(z())), tf.tensor2d([[-0.625]]));
      expectClose(tf.grad(logProb)(asSequence(z())).dataSync(), [1.1321791311, -1.1529157152, 0.0207365841], {
        abs: 1e-5,
      });
      expectClose(sampler.inputs(recorded, model()), asSequence(action.input));
    });

    test('the derivative in the embeddings: direct, and not through the recorded input', () => {
      const { action } = sampler.step(z(), model(), eps);
      const recorded = { input: asSequence(action.input) };
      const gradient = tf.grad((E) => sampler.logProb(asSequence(z()), headModel(E as tf.Tensor2D), recorded));
      expectClose(
        gradient(tf.tensor2d(threeTokens)).dataSync(),
        [1.6085230046, -3.2170460093, 0.2176899164, -0.4353798329, 0.0294611265, -0.058922253],
        { abs: 1e-5 },
      );
    });

    test('a score of another policy, by hand', () => {
      // METHOD E3: x = [.1, -.2, .3], μ = [0, 0, .1], σ = .1 gives -4.5
      const E = headModel(tf.tensor2d([[0, 0, 0.1]])); // one token: the mixture is its embedding
      const recorded = { input: tf.tensor3d([0.1, -0.2, 0.3, 0, 0, 0.1], [1, 2, 3]) };
      const sampler = soft({ temperature: 1, noiseScale: 0.1 });
      expectClose(sampler.logProb(tf.zeros([1, 2, 1]), E, recorded), tf.tensor2d([[-4.5, 0]]), { abs: 1e-5 });
    });
  });

  test('gradient through a whole model', () => {
    const model = tinyModel({ vocabSize: 7, hiddenSize: 4, seed: 2 });
    const sampler = soft({ temperature: 0.7, noiseScale: 1 });
    const recorded = { input: tf.randomNormal<tf.Rank.R3>([2, 3, 4], 0, 1, 'float32', 5) };
    checkGradient(
      (hidden) => sampler.logProb(hidden, model, recorded),
      [tf.randomUniform<tf.Rank.R3>([2, 3, 4], -1, 1, 'float32', 6)],
    );
    model.dispose();
  });

  test('fuzzy: ties and gaps at τ = 0.0001', () => {
    const identity = headModel(tf.eye(3) as tf.Tensor2D);
    const at = (...logits: number[]) =>
      fuzzy({ noiseScale: 0 })
        .step(tf.tensor2d([logits]), identity, eps)
        .input.dataSync();
    expectClose(at(2, 2, 0), [0.5, 0.5, 0]);
    expectClose(at(2, 1.9999, 0), [0.7310585786, 0.2689414214, 0], { abs: 1e-4 }); // 1.9999 is no float32
    expectClose(at(2000, 2000, 0), [0.5, 0.5, 0]);
    // A gap of 2⁻¹⁴ is 0.61035 nats; logits of 20 are 200000 ± 0.008 once divided by τ, so the gap comes first.
    expectClose(at(20, 20 - 2 ** -14, 0), [0.6480209941, 0.3519790059, 0]);
    expectClose(at(2, 1, 0), [1, 0, 0], { rel: 0, abs: 0 });
  });

  test('the shadow is the likeliest id, noise or not', () => {
    const logits = tf.tensor2d([
      [0, 3, 1],
      [5, 4.9, 4],
      [-1, -2, 0],
    ]);
    const noise = fixedNoise({ normal: Array(3).fill([100, -100]) });
    for (const sampler of [soft({ temperature: 5, noiseScale: 1 }), fuzzy({ noiseScale: 1 })]) {
      expect([...sampler.step(logits, model(), noise).shadow]).toEqual([1, 0, 2]);
    }
  });

  test('a one-hot mixture is the ordinary token, to the bit: embedding and hidden state', () => {
    const tiny = tinyModel({ vocabSize: 11, hiddenSize: 6, seed: 4 });
    const hidden = tf.randomUniform<tf.Rank.R2>([5, 6], -1, 1, 'float32', 9);
    const { input, shadow } = fuzzy({ temperature: 1e-6, noiseScale: 0 }).step(hidden, tiny, eps);
    const ordinary = tiny.embed(tf.tensor1d([...shadow], 'int32')) as tf.Tensor2D;
    expect(input.dataSync()).toEqual(ordinary.dataSync());
    const state = (x: tf.Tensor2D) => tiny.forward(asSequence(x)).dataSync();
    expect(state(input)).toEqual(state(ordinary));
    tiny.dispose();
  });

  test('greedy settings draw no noise', () => {
    const noise = { normal: () => tf.fill([1, 2], Number.NaN), uniform: () => tf.fill([1, 1], Number.NaN) } as never;
    for (const sampler of [soft({ temperature, noiseScale: 0 }), fuzzy({ noiseScale: 0 })]) {
      const first = sampler.step(z(), model(), noise).input.dataSync();
      expect(first.every(Number.isFinite)).toBe(true);
      expect(sampler.step(z(), model(), noise).input.dataSync()).toEqual(first);
    }
  });

  test('on policy, -‖h̃ - h⁰‖² / 2σ² has mean -d/2 and standard deviation √(d/2)', () => {
    tf.tidy(() => {
      const [rows, d] = [2000, 64];
      const wide = headModel(tf.randomNormal([3, d], 0, 1, 'float32', 8) as tf.Tensor2D);
      const sampler = soft({ temperature, noiseScale: 0.3 });
      const samples = Int32Array.from({ length: rows }, (_, i) => i);
      const noise = createNoise({ seed: 3, step: 0, samples, position: 0, stream: 0 });
      const hidden = tf.randomNormal([rows, 3], 0, 1, 'float32', 9) as tf.Tensor2D;
      const { action } = sampler.step(hidden, wide, noise);
      const scores = sampler.logProb(asSequence(hidden), wide, { input: asSequence(action.input) });
      const { mean, variance } = tf.moments(scores);
      const sd = Math.sqrt(d / 2);
      expect(Math.abs(mean.dataSync()[0]! + d / 2)).toBeLessThan((4 * sd) / Math.sqrt(rows));
      expect(Math.abs(Math.sqrt(variance.dataSync()[0]!) / sd - 1)).toBeLessThan(4 / Math.sqrt(2 * rows));
    });
  });
});

test('refuses τ <= 0, σ < 0, and to score without noise', () => {
  expect(() => soft({ temperature: 0, noiseScale: 1 })).toThrow(
    new RangeError('soft: expected a temperature > 0, got 0; for one-hot tokens use hard()'),
  );
  expect(() => fuzzy({ temperature: -1, noiseScale: 1 })).toThrow(/^fuzzy: expected a temperature > 0, got -1/);
  expect(() => soft({ temperature: 1, noiseScale: -0.1 })).toThrow(
    new RangeError('soft: expected a noise scale >= 0, got -0.1'),
  );
  expect(() => fuzzy({ noiseScale: Number.NaN })).toThrow(/^fuzzy: expected a noise scale >= 0, got NaN/);
  const recorded = { input: tf.zeros([1, 1, 2]) };
  expect(() => soft({ temperature: 1, noiseScale: 0 }).logProb(tf.zeros([1, 1, 3]), model(), recorded)).toThrow(
    new RangeError('soft: expected a noise scale > 0 to score, got 0; a noiseless mixture has no density'),
  );
});
