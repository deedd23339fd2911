import { createNoise, normalArray, useEngine } from '@soft-tokens/tensor';
import { checkGradient, eachEngine, enginesUnderTest, expectClose, tinyCodec, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import type { Sampler } from './contract.js';
import { decode } from './decode.js';
import { embeddingNoise } from './embeddingNoise.js';
import { fuzzy } from './fuzzy.js';
import type { Placement } from './gaussian.js';
import { hiddenNoise } from './hiddenNoise.js';
import { logitNoise } from './logitNoise.js';
import { samplerFor } from './settings.js';
import { soft } from './soft.js';
import { fixedNoise, headModel, threeTokens } from './test/models.js';
import { topKNoise } from './topKNoise.js';

const [V, d, k] = [7, 4, 3];
const [temperature, noiseScale] = [0.7, 0.4];

/** `width`: of what the noise is added to. `recorded`: the name that it is recorded under. */
const placements: Record<string, { placement: Placement; width: number; recorded: string }> = {
  embedding: { placement: embeddingNoise, width: d, recorded: 'input' },
  hidden: { placement: hiddenNoise, width: d, recorded: 'hidden' },
  logits: { placement: logitNoise, width: V, recorded: 'logits' },
  topk: { placement: topKNoise(k), width: k, recorded: 'logits' },
};
const names = Object.keys(placements);
const samplerOf = (name: string, options = { temperature, noiseScale }): Sampler =>
  soft({ ...options, placement: placements[name]!.placement });

type Vector = number[];
const dot = (a: Vector, b: Vector) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const plus = (a: Vector, b: Vector) => a.map((x, i) => x + noiseScale * b[i]!);
const softmax = (z: Vector) => {
  const powers = z.map((x) => Math.exp(x / temperature));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / total);
};
const argMax = (z: Vector) => z.indexOf(Math.max(...z));

/** The definition, in float64: what is drawn at a state h, with E and U the rows of embedding and head. */
function defined(name: string, h: Vector, eps: Vector, E: Vector[], U: Vector[]) {
  const logits = (state: Vector) => U.map((row) => dot(row, state));
  const mix = (weights: Vector, rows = E) =>
    rows[0]!.map((_, j) => weights.reduce((s, w, i) => s + w * rows[i]![j]!, 0));
  const z = logits(h);
  if (name === 'embedding') {
    const drawn = plus(mix(softmax(z)), eps);
    return { drawn, input: drawn, shadow: argMax(z) };
  }
  if (name === 'hidden') {
    const drawn = plus(h, eps);
    return { drawn, input: mix(softmax(logits(drawn))), shadow: argMax(logits(drawn)) };
  }
  if (name === 'logits') {
    const drawn = plus(z, eps);
    return { drawn, input: mix(softmax(drawn)), shadow: argMax(drawn) };
  }
  const ids = z.map((_, i) => i).sort((a, b) => z[b]! - z[a]!).slice(0, k); // biome-ignore format: one thought
  const drawn = plus(ids.map((i) => z[i]!), eps); // biome-ignore format: one thought
  const rows = ids.map((i) => E[i]!);
  return { drawn, input: mix(softmax(drawn), rows), shadow: ids[argMax(drawn)]! };
}

/** The score's mean at another state: what the drawn quantity is compared with. */
function meanAt(name: string, h: Vector, ids: Vector, E: Vector[], U: Vector[]): Vector {
  const none = new Array<number>(V).fill(0);
  if (name !== 'topk') return defined(name, h, none, E, U).drawn;
  return ids.map((i) => dot(U[i]!, h));
}

const states = (rows: number, seed: number) => tf.randomUniform<tf.Rank.R2>([rows, d], -1, 1, 'float32', seed);
const asSequence = <T extends tf.Tensor>(x: T) => tf.expandDims(x, 1) as tf.Tensor3D;
const asSequences = (action: Record<string, tf.Tensor>) =>
  Object.fromEntries(Object.entries(action).map(([name, x]) => [name, asSequence(x)]));

eachEngine(
  useEngine,
  () => {
    describe.each(names)('%s', (name) => {
      const { width, recorded } = placements[name]!;
      const model = () => tinyModel({ vocabSize: V, hiddenSize: d, seed: 3 });
      const rows = 5;
      const samples = Int32Array.from({ length: rows }, (_, i) => i + 2);
      const place = { seed: 6, step: 1, position: 4, stream: 0 };
      const noise = () => createNoise({ ...place, samples });

      test('golden: step, inputs and score are the definition in float64', () => {
        const tiny = model();
        tf.tidy(() => {
          const [E, , , , U] = tiny.variables.map((variable) => variable.arraySync() as Vector[]);
          const sampler = samplerOf(name);
          const [hidden, other] = [states(rows, 1), states(rows, 2)];
          const { input, action, shadow } = sampler.step(hidden, tiny, noise());
          const [drawn, fed] = [action[recorded]!.arraySync() as Vector[], input.arraySync() as Vector[]];
          const ids = action.ids?.arraySync() as Vector[] | undefined;
          const again = sampler.inputs(asSequences(action), tiny);
          const scores = sampler.logProb(asSequence(other), tiny, asSequences(action)).arraySync();
          const [at, atOther] = [hidden.arraySync(), other.arraySync()];
          for (let b = 0; b < rows; b++) {
            const eps = [...normalArray({ ...place, sample: samples[b]! }, width)];
            const want = defined(name, at[b]!, eps, E!, U!);
            expectClose(drawn[b]!, want.drawn, { abs: 1e-5 });
            expectClose(fed[b]!, want.input, { abs: 1e-5 });
            expect(shadow[b]).toBe(want.shadow);
            const mean = meanAt(name, atOther[b]!, ids?.[b] ?? [], E!, U!);
            const squared = want.drawn.reduce((sum, x, i) => sum + (x - mean[i]!) ** 2, 0);
            expectClose(scores[b]!, [-squared / (2 * noiseScale ** 2)], { rel: 1e-4, abs: 1e-4 });
          }
          expect(again.shape).toEqual([rows, 1, d]);
          expectClose(tf.reshape(again, [rows, d]), input, { abs: 1e-6 });
        });
        tiny.dispose();
      });

      test('gradients: of the score in states and parameters, of the inputs in parameters', () => {
        const tiny = model();
        tf.tidy(() => {
          const sampler = samplerOf(name, { temperature, noiseScale: 1 });
          const { action } = sampler.step(states(4, 1), tiny, createNoise({ ...place, samples: samples.slice(0, 4) }));
          const B2T2 = (x: tf.Tensor) => tf.reshape(x, [2, 2, ...x.shape.slice(1)]);
          const record = Object.fromEntries(Object.entries(action).map(([key, x]) => [key, B2T2(x)]));
          const other = B2T2(states(4, 2)) as tf.Tensor3D;
          checkGradient((hidden) => sampler.logProb(hidden, tiny, record), [other]);
          const E = tf.tensor2d(tiny.variables[0]!.dataSync(), [V, d]);
          const U = tf.tensor2d(tiny.variables[4]!.dataSync(), [V, d]);
          const withParameters = (E: tf.Tensor, U: tf.Tensor) => tiedTo(E as tf.Tensor2D, U as tf.Tensor2D);
          checkGradient((E, U) => sampler.logProb(touched(other, E, U), withParameters(E, U), record), [E, U]);
          checkGradient((E, U) => touched(sampler.inputs(record, withParameters(E, U)), E, U), [E, U]);
        });
        tiny.dispose();
      });

      test('without noise it is the deterministic step, and draws nothing', () => {
        const tiny = model();
        const none = { normal: () => tf.fill([rows, width], Number.NaN), uniform: () => tf.zeros([rows, 1]) } as never;
        const all = name === 'topk' ? soft({ temperature, noiseScale: 0, placement: topKNoise(V) }) : undefined;
        const quiet = (all ?? samplerOf(name, { temperature, noiseScale: 0 })) as Sampler;
        const plain = soft({ temperature, noiseScale: 0 }).step(states(rows, 1), tiny, none);
        const { input, shadow } = quiet.step(states(rows, 1), tiny, none);
        expect(shadow).toEqual(plain.shadow);
        expectClose(input, plain.input, all ? { rel: 1e-5, abs: 1e-6 } : { rel: 0, abs: 0 });
        tiny.dispose();
      });

      test('beyond a sequence’s end the score and its gradient are finite', () => {
        const tiny = model();
        tf.tidy(() => {
          const sampler = fuzzy({ noiseScale, placement: placements[name]!.placement });
          const { action } = sampler.step(states(rows, 1), tiny, noise());
          const zeros = Object.fromEntries(
            Object.entries(action).map(([key, x]) => [key, asSequence(tf.zerosLike(x))]),
          );
          const score = (h: tf.Tensor) => sampler.logProb(h as tf.Tensor3D, tiny, zeros);
          const at = asSequence(states(rows, 2));
          for (const values of [score(at), tf.grad(score)(at), sampler.inputs(zeros, tiny)]) {
            expect(values.dataSync().every(Number.isFinite)).toBe(true);
          }
        });
        tiny.dispose();
      });

      test('on policy the score has mean -n/2 and standard deviation √(n/2)', () => {
        const tiny = model();
        tf.tidy(() => {
          const many = 4000;
          const sampler = samplerOf(name);
          const own = createNoise({ ...place, samples: Int32Array.from({ length: many }, (_, i) => i) });
          const hidden = states(many, 4);
          const { action } = sampler.step(hidden, tiny, own);
          const { mean, variance } = tf.moments(sampler.logProb(asSequence(hidden), tiny, asSequences(action)));
          const sd = Math.sqrt(width / 2);
          expect(Math.abs(mean.dataSync()[0]! + width / 2)).toBeLessThan((4 * sd) / Math.sqrt(many));
          // The fourth moment of χ² of n degrees: the variance of a sample's variance is (2 + 12 / n) / many of it.
          const bound = 4 * Math.sqrt((2 + 12 / width) / many);
          expect(Math.abs(variance.dataSync()[0]! / sd ** 2 - 1)).toBeLessThan(bound);
        });
        tiny.dispose();
      });

      test('decode: the same address, the same thought, whatever is beside it', async () => {
        const text = tinyCodec();
        const speaker = tinyModel({ vocabSize: text.vocabSize, hiddenSize: d, seed: 3 });
        const draw = (prompts: string[], sampling: { seed?: number; firstSample?: number } = {}) =>
          decode({
            model: speaker,
            text,
            sampler: samplerOf(name),
            prompts: prompts.map((prompt) => text.encode(prompt)),
            maxThoughtTokens: 4,
            maxAnswerTokens: 2,
            answerTemperature: 1,
            seed: 5,
            ...sampling,
          });
        const [first, second] = await draw(['2+2?', '3+1?']);
        const { shape, values } = first!.action[recorded]!;
        expect(shape).toEqual([4, name === 'logits' ? text.vocabSize : width]);
        expect((await draw(['2+2?', '3+1?']))[0]).toEqual(first);
        const [alone] = await draw(['3+1?'], { firstSample: 1 });
        expectClose(alone!.action[recorded]!.values, second!.action[recorded]!.values, { abs: 1e-5 });
        expect(alone!.shadowIds).toEqual(second!.shadowIds);
        expect((await draw(['2+2?'], { seed: 6 }))[0]!.action[recorded]!.values).not.toEqual(values);
        speaker.dispose();
      });
    });

    test('METHOD E4 with noise on the two largest logits', () => {
      // z̃ = [2.1, .8]; weights 1 / (1 + exp(-1.3)) and the rest; -(.1² + .2²) / (2 · .2²)
      const sampler = soft({ temperature: 1, noiseScale: 0.2, placement: topKNoise(2) });
      const model = headModel(tf.tensor2d(threeTokens));
      const z = tf.tensor2d([[2, 1, 0]]);
      const { input, action, shadow } = sampler.step(z, model, fixedNoise({ normal: [[0.5, -1]] }));
      expectClose(input.dataSync(), [0.785834983, 0.214165017]);
      expect([...action.ids.dataSync(), ...shadow]).toEqual([0, 1, 0]);
      const score = (h: tf.Tensor) => sampler.logProb(h as tf.Tensor3D, model, asSequences(action) as typeof action);
      expectClose(score(asSequence(z)).dataSync(), [-0.625]);
      expectClose(tf.grad(score)(asSequence(z)).dataSync(), [2.5, -5, 0], { abs: 1e-4 });
    });

    test('at the paper’s fuzzy temperature the thought is the greedy token of the noisy logits', () => {
      const model = headModel(tf.tensor2d(threeTokens));
      const noise = fixedNoise({ normal: [[0, 3, 0]] });
      for (const placement of [hiddenNoise, logitNoise, topKNoise(3)] as Placement[]) {
        const { input, shadow } = samplerFor('fuzzy-sample', 0.5, undefined, placement).step(
          tf.tensor2d([[2, 1, 0]]),
          model,
          noise,
        );
        expectClose(input.dataSync(), threeTokens[1]!, { rel: 0, abs: 1e-6 });
        expect([...shadow]).toEqual([1]);
      }
    });
  },
  enginesUnderTest,
);

/** A head and embeddings that a gradient can be taken in. */
function tiedTo(E: tf.Tensor2D, U: tf.Tensor2D) {
  const base = headModel(E);
  const logits = (hidden: tf.Tensor) =>
    tf.reshape(tf.matMul(tf.reshape(hidden, [-1, d]), U, false, true), [...hidden.shape.slice(0, -1), V]);
  const mixture = (hidden: tf.Tensor, temperature: number) =>
    base.mix(tf.softmax(tf.div(logits(hidden), temperature))) as tf.Tensor;
  return { ...base, head: { ...base.head, logits, mixture } };
}

/** x, for a gradient that must exist in tensors it may not depend on. */
function touched<T extends tf.Tensor>(x: T, ...tensors: tf.Tensor[]): T {
  return tensors.reduce<T>((sum, tensor) => tf.add(sum, tf.mul(tf.sum(tensor), 0)), x);
}

test('refuses what cannot be drawn or scored', () => {
  for (const bad of [0, -1, 1.5, Number.NaN]) {
    expect(() => topKNoise(bad)).toThrow(new RangeError(`topKNoise: expected k to be an integer >= 1, got ${bad}`));
  }
  const model = headModel(tf.tensor2d(threeTokens));
  const four = soft({ temperature: 1, noiseScale: 1, placement: topKNoise(4) });
  expect(() => four.step(tf.zeros([1, 3]), model, fixedNoise({}))).toThrow(
    new RangeError('soft: expected k <= the 3 tokens there are, got 4; lower k'),
  );
  for (const name of names) {
    expect(() => samplerOf(name, { temperature: 0, noiseScale })).toThrow(/^soft: expected a temperature > 0, got 0/);
    expect(() => samplerOf(name, { temperature, noiseScale: Number.NaN })).toThrow(
      /^soft: expected a noise scale >= 0/,
    );
    const action = { input: tf.zeros([1, 1, 2]), hidden: tf.zeros([1, 1, 3]), logits: tf.zeros([1, 1, 3]) };
    const quiet = samplerOf(name, { temperature, noiseScale: 0 });
    expect(() => quiet.logProb(tf.zeros([1, 1, 3]), model, action)).toThrow(
      /^soft: expected a noise scale > 0 to score/,
    );
  }
});
