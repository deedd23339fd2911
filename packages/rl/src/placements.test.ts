// Wherever the noise of a thought enters, the mean policy gradient is the slope of the expected reward, and is not when
// something is left out.
import type { CausalLM } from '@soft-tokens/models';
import {
  type Action,
  type Completion,
  hiddenNoise,
  logitNoise,
  type Placement,
  type Sampler,
  soft,
  topKNoise,
} from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  ascents,
  averaged,
  CAUGHT,
  type Direction,
  departure,
  directionsOf,
  draw,
  type Estimate,
  fastEngines,
  LIMIT,
  type NoisyToken,
  type Problem,
  slopesOf,
  trueSlopes,
  V,
  zScores,
} from './test/slopes.js';
import { toyModel } from './test/toy.js';

const SAMPLES = 12_288;
const K = 3;

const mixtureOf = (logits: tf.Tensor, model: CausalLM, temperature: number) =>
  tf.matMul(tf.softmax(tf.div(logits, temperature)) as tf.Tensor2D, model.inputEmbedding);

const onHidden: NoisyToken = {
  recorded: 'hidden',
  draw(hidden, model, noise, temperature) {
    const drawn = tf.add(hidden, noise(model.hiddenSize));
    return { drawn, input: mixtureOf(model.head.logits(drawn), model, temperature) };
  },
};

const onLogits: NoisyToken = {
  recorded: 'logits',
  draw(hidden, model, noise, temperature) {
    const drawn = tf.add(model.head.logits(hidden), noise(V));
    return { drawn, input: mixtureOf(drawn, model, temperature) };
  },
};

/** The first row's order is that of all. */
const onTopK: NoisyToken = {
  recorded: 'logits',
  draw(hidden, model, noise, temperature) {
    const z = model.head.logits(hidden) as tf.Tensor2D;
    const first = [...z.dataSync().slice(0, V)];
    const ids = first.map((_, id) => id).sort((a, b) => first[b]! - first[a]!);
    const chosen = tf.cast(tf.oneHot(tf.tensor1d(ids.slice(0, K), 'int32'), V), 'float32') as tf.Tensor2D;
    const drawn = tf.add(tf.matMul(z, chosen, false, true), noise(K));
    const weights = tf.softmax(tf.div(drawn, temperature)) as tf.Tensor2D;
    return { drawn, input: tf.matMul(tf.matMul(weights, chosen), model.inputEmbedding) };
  },
};

// A second step of top-k thoughts takes other ids by jumps; see the sampler. One step takes the same ids for all draws.
const problems: Record<string, { seed: number; steps: number; placement: Placement; token: NoisyToken }> = {
  hidden: { seed: 4, steps: 2, placement: hiddenNoise, token: onHidden },
  logits: { seed: 4, steps: 2, placement: logitNoise, token: onLogits },
  'top-k logits': { seed: 4, steps: 1, placement: topKNoise(K), token: onTopK },
};

const noiseScale = 0.6;
const temperature = 0.5;

/** What can be done wrong with a thought. */
const mistakes: Record<string, (sampler: Sampler<Action>) => Sampler<Action>> = {
  'no thought term': (sampler) => ({ ...sampler, logProb: ({ shape: [N, T] }) => tf.zeros([N, T]) }),
  'no 1 / σ²': (sampler) => ({
    ...sampler,
    logProb: (...given) => tf.mul(sampler.logProb(...given), noiseScale ** 2),
  }),
  'inputs that are constants': (sampler) => ({
    ...sampler,
    inputs(action, model) {
      const inputs = sampler.inputs(action, model);
      return tf.tensor3d(inputs.dataSync(), inputs.shape);
    },
  }),
};

eachEngine(
  useEngine,
  () => {
    describe.each(Object.entries(problems))('noise on %s', (_, { seed, steps, placement, token }) => {
      let model: CausalLM;
      let problem: Problem;
      let directions: Direction[];
      let truth: Estimate[];
      let right: Direction[];
      let completions: Completion[];
      let others: { completions: Completion[]; right: Direction[] };

      beforeAll(async () => {
        const sampler = soft({ temperature, noiseScale, placement });
        problem = averaged(sampler, { temperature, noiseScale, maxThoughtTokens: steps, draws: 4096, token });
        model = toyModel({ vocabSize: V, hiddenSize: 4, seed, spread: 1 });
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
        const bound = LIMIT * Math.hypot(estimates[0]!.error, truth[0]!.error);
        expect(bound).toBeLessThan(Math.abs(truth[0]!.value) / 3);
      });

      test.each(Object.entries(mistakes))('it is not with a mistake: %s', async (_, change) => {
        const sampler = change(problem.sampler);
        // Other completions say where to look.
        const away = departure(await ascents(model, problem, others.completions, { sampler }), others.right);
        const slopes = trueSlopes(model, problem, [away]);
        const wrong = await ascents(model, problem, completions.slice(0, SAMPLES / 2), { sampler });
        expect(Math.abs(zScores(slopesOf(right, [away]), slopes)[0]!)).toBeLessThan(LIMIT);
        expect(Math.abs(zScores(slopesOf(wrong, [away]), slopes)[0]!)).toBeGreaterThan(CAUGHT);
      });
    });
  },
  fastEngines,
);
