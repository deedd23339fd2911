// The estimator is right, not only the formula: the mean policy gradient is the slope of the expected reward, and is
// not when a sign, a term or a factor is wrong.
import type { CausalLM } from '@soft-tokens/models';
import { type Action, type Completion, fuzzy, hard, type Sampler, soft } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  ascents,
  averaged,
  CAUGHT,
  type Change,
  type Direction,
  departure,
  directionsOf,
  draw,
  type Estimate,
  enumerated,
  fastEngines,
  LIMIT,
  type Problem,
  slopesOf,
  trueSlopes,
  V,
  zScores,
} from './test/slopes.js';
import { toyModel } from './test/toy.js';

const SAMPLES = 16_384;

const noiseScale = 0.6;
const noisy = (make: typeof soft, temperature: number, maxThoughtTokens: number) =>
  averaged(make({ temperature, noiseScale }) as Sampler<Action>, {
    temperature,
    noiseScale,
    maxThoughtTokens,
    draws: 4096,
  });

// At the paper's τ = 0.0001 a second thought step depends on the first by jumps, which no number of samples that a test
// can draw shows; so fuzzy thoughts are tested at a larger τ, and at that τ for one step. Models (seed and spread of the
// weights) are such that answers depend on thoughts, or a mistake in the thought's share would not show.
const problems: Record<string, { seed: number; spread: number; make(): Problem }> = {
  hard: { seed: 3, spread: 0.8, make: () => enumerated(hard({ temperature: 1 }) as Sampler<Action>, 1) },
  soft: { seed: 4, spread: 1, make: () => noisy(soft, 0.5, 2) },
  'fuzzy, τ = 0.2': { seed: 4, spread: 0.8, make: () => noisy(fuzzy, 0.2, 2) },
  'fuzzy, τ = 0.0001, one step': { seed: 4, spread: 0.8, make: () => noisy(fuzzy, 1e-4, 1) },
};

const detached = (x: tf.Tensor) => tf.tensor(x.dataSync(), x.shape);

/** What can be done wrong, and in which thoughts: in all, if it does not say. */
const mistakes: Record<string, { of?: 'hard' | 'mixtures'; change(model: CausalLM, problem: Problem): Change }> = {
  'the sign': { change: () => ({ advantages: (right) => right.map((advantage) => -advantage) }) },
  'no thought term': {
    change: (_, { sampler }) => ({
      sampler: { ...sampler, logProb: ({ shape: [N, T] }) => tf.zeros([N, T]) },
    }),
  },
  'no answer term': {
    change: (model, { sampler }) => ({
      model: { ...model, head: { ...model.head, logProb: (_, ids) => tf.zeros(ids.shape) } },
      sampler: { ...sampler, logProb: (hidden, _, action) => sampler.logProb(hidden, model, action) },
    }),
  },
  'the mean of all rewards as baseline': {
    change: () => ({
      advantages: (_, rewards) => rewards.map((r) => r - rewards.reduce((sum, x) => sum + x) / rewards.length),
    }),
  },
  "no gradient into the thought's embedded ids": {
    of: 'hard',
    change: (_, { sampler }) => ({
      sampler: { ...sampler, inputs: (action, model) => detached(sampler.inputs(action, model)) as tf.Tensor3D },
    }),
  },
  'recorded mixtures that are not constants': {
    of: 'mixtures',
    change: (model, { sampler }) => {
      const live = ({ input, weights }: Action): Action => {
        const mean = model.mix(weights!);
        return { input: tf.add(input!, tf.sub(mean, detached(mean))) };
      };
      return {
        sampler: {
          ...sampler,
          inputs: (action) => sampler.inputs(live(action), model),
          logProb: (hidden, _, action) => sampler.logProb(hidden, model, live(action)),
        },
      };
    },
  },
  'no 1 / σ²': {
    of: 'mixtures',
    change: (_, { sampler }) => ({
      sampler: {
        ...sampler,
        logProb: (...given) => tf.mul(sampler.logProb(...given), noiseScale ** 2),
      },
    }),
  },
  'no gradient into the embedding through the mixture': {
    of: 'mixtures',
    change: (model, { sampler, temperature }) => ({
      sampler: {
        ...sampler,
        logProb: (hidden, _, { input }: Action) => {
          const weights = tf.softmax(tf.div(model.head.logits(hidden), temperature)) as tf.Tensor3D;
          const flat = tf.reshape(weights, [-1, V]) as tf.Tensor2D;
          const mean = tf.reshape(tf.matMul(flat, detached(model.inputEmbedding) as tf.Tensor2D), hidden.shape);
          return tf.div(tf.sum(tf.square(tf.sub(input!, mean)), -1), -2 * noiseScale ** 2) as tf.Tensor2D;
        },
      },
    }),
  },
};

eachEngine(
  useEngine,
  () => {
    describe.each(Object.entries(problems))('%s', (name, { seed, spread, make }) => {
      let model: CausalLM;
      let problem: Problem;
      let directions: Direction[];
      let truth: Estimate[];
      let right: Direction[];
      let completions: Completion[];
      let others: { completions: Completion[]; right: Direction[] };

      beforeAll(async () => {
        problem = make();
        model = toyModel({ vocabSize: V, hiddenSize: 4, seed, spread });
        directions = directionsOf(model, problem);
        truth = trueSlopes(model, problem, directions);
        completions = await draw(model, problem, SAMPLES, 3);
        right = await ascents(model, problem, completions);
        const fewer = await draw(model, problem, SAMPLES / 2, 4);
        others = { completions: fewer, right: await ascents(model, problem, fewer) };
      });

      test('the mean policy gradient is the slope of the expected reward', () => {
        const estimates = slopesOf(right, directions);
        for (const z of zScores(estimates, truth)) expect(Math.abs(z)).toBeLessThan(LIMIT);
        // Sharp enough to say something: the whole interval is a third of the slope to either side.
        const [steepest] = truth;
        const bound = LIMIT * Math.hypot(estimates[0]!.error, steepest!.error);
        expect(bound).toBeLessThan(Math.abs(steepest!.value) / 3);
      });

      const ofThis = Object.entries(mistakes).filter(([, { of }]) => !of || (of === 'hard') === (name === 'hard'));
      test.each(ofThis)('it is not with a mistake: %s', async (_, { change }) => {
        const mistaken = change(model, problem);
        // Other completions say where to look.
        const away = departure(await ascents(model, problem, others.completions, mistaken), others.right);
        const looked = [directions[0]!, away];
        const slopes = [truth[0]!, ...trueSlopes(model, problem, [away])];
        const wrong = await ascents(model, problem, completions.slice(0, SAMPLES / 2), mistaken);
        for (const z of zScores(slopesOf(right, looked), slopes)) expect(Math.abs(z)).toBeLessThan(LIMIT);
        expect(Math.max(...zScores(slopesOf(wrong, looked), slopes).map(Math.abs))).toBeGreaterThan(CAUGHT);
      });
    });
  },
  fastEngines,
);
