// The penalty on leaving a reference: its values against formulas written out, its gradients against differences, and the
// gradient that it has on average against the slope of the divergence itself.
import type { CausalLM } from '@soft-tokens/models';
import {
  type Action,
  decode,
  hard,
  hiddenNoise,
  logitNoise,
  type RecordedAction,
  type Sampler,
  soft,
  topKNoise,
} from '@soft-tokens/samplers';
import { normalArray, useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leaveOneOut } from './advantages.js';
import { disposeGradients, logRatios, policyGradient } from './gradients.js';
import { type KlPenalty, requireKl } from './kl.js';
import { groupAdvantages } from './rollout.js';
import type { RecordedSequence } from './score.js';
import { idsAction } from './test/fixtures.js';
import {
  ascents,
  averaged,
  CAUGHT,
  directionsOf,
  draw,
  fastEngines,
  LIMIT,
  PROMPT,
  slopesOf,
  trueSlopes,
  V,
  zScores,
} from './test/slopes.js';
import { toyModel } from './test/toy.js';

const noiseScale = 0.4;
const mixtures = { temperature: 0.5, noiseScale };
const samplers: Record<string, Sampler<Action>> = {
  hard: hard({ temperature: 0.8 }) as Sampler<Action>,
  soft: soft(mixtures) as Sampler<Action>,
  'noise on the hidden state': soft({ ...mixtures, placement: hiddenNoise }) as Sampler<Action>,
  'noise on the logits': soft({ ...mixtures, placement: logitNoise }) as Sampler<Action>,
};

const codec = { encode: () => [3], decode: (ids: readonly number[]) => ids.join(''), endIds: [] };

/** Sequences of unlike lengths, drawn from a model. */
async function drawn(model: CausalLM, sampler: Sampler<Action>): Promise<RecordedSequence[]> {
  const completions = await decode({
    model,
    sampler,
    text: codec,
    prompts: [[1, 2], [4]],
    samples: 3,
    format: { stopPhrase: '#', prefill: { stopped: '', capped: '' } },
    maxThoughtTokens: 3,
    maxAnswerTokens: 2,
    answerTemperature: 1,
    seed: 1,
  });
  return completions.map((completion, n) => {
    const T = 1 + (n % 3);
    const cut = ([name, { dtype, shape, values }]: [string, RecordedAction[string]]) => {
      const size = shape.slice(1).reduce((product, x) => product * x, T);
      return [name, { dtype, shape: [T, ...shape.slice(1)], values: values.slice(0, size) }];
    };
    return { ...completion, action: Object.fromEntries(Object.entries(completion.action).map(cut)) };
  });
}

test('golden: METHOD E2, k1 in the reward before the baseline', () => {
  const nats = [2, 1, 0.5, 4];
  const rewarded = [1, 0, 0, 1].map((reward, n) => ({ reward: reward - 0.05 * nats[n]! }));
  expectClose(groupAdvantages(rewarded, 4), [0.6583333, -0.6083333, -0.575, 0.525], { rel: 1e-6 });
  expectClose(groupAdvantages(rewarded, 4, leaveOneOut), groupAdvantages(rewarded, 4));
  expect(groupAdvantages(rewarded, 2, (rewards) => rewards.map((_, i) => i))).toEqual([0, 1, 0, 1]);
});

test('refuses a penalty whose gradient would be none of the divergence', () => {
  const reference = {} as CausalLM;
  const kl = (rest: object) => ({ reference, coefficient: 1, in: 'reward', ...rest }) as KlPenalty;
  const sampler = samplers.soft!;
  requireKl(kl({}), sampler);
  requireKl(kl({ in: 'loss', estimator: 'k2' }), sampler);
  for (const coefficient of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => requireKl(kl({ coefficient }), sampler)).toThrow(/kl: expected a coefficient > 0, got/);
  }
  expect(() => requireKl(kl({ estimator: 'k3' }), sampler)).toThrow(
    /expected k1 in the reward, got k3, whose gradient/,
  );
  expect(() => requireKl(kl({ in: 'loss', estimator: 'k1' }), sampler)).toThrow(
    /expected k2 or k3 in the loss, got k1/,
  );
  const topK = soft({ ...mixtures, placement: topKNoise(2) }) as Sampler<Action>;
  expect(() => requireKl(kl({}), topK)).toThrow(TypeError);
  expect(() => requireKl(kl({}), topK)).toThrow(/got soft, which may draw what the reference never does; choose/);
});

eachEngine(
  useEngine,
  () => {
    describe.each(Object.entries(samplers))('%s', (name, sampler) => {
      let model: CausalLM;
      let reference: CausalLM;
      let sequences: RecordedSequence[];
      beforeAll(async () => {
        model = toyModel({ vocabSize: 7, seed: 1 });
        reference = toyModel({ vocabSize: 7, seed: 2 });
        sequences = await drawn(model, sampler);
      });
      afterAll(() => {
        model.dispose();
        reference.dispose();
      });

      /** The mean divergence in the loss, alone: no advantage counts. */
      const divergence = (estimator: 'k2' | 'k3', maxTokens = 1000, of = sequences, to: CausalLM = reference) =>
        policyGradient({
          model,
          sampler,
          parameters: model.parameters,
          sequences: of,
          advantages: of.map(() => 0),
          kl: { reference: to, coefficient: 3, in: 'loss', estimator },
          maxTokens,
        });

      test('the values are the formulas written out, step by step', async () => {
        for (const sequence of sequences) {
          const T = Object.values(sequence.action)[0]!.shape[0]!;
          const P = sequence.prefillIds.length;
          const [own, other] = [model, reference].map((each) => statesOf(each, sampler, sequence));
          const terms = (r: number) => ({ k1: -r, k2: r ** 2 / 2, k3: Math.exp(r) - 1 - r });
          const tokens = sequence.answerIds.map((id, a) =>
            terms(logProb(reference, other!, T + P + a, id, 1) - logProb(model, own!, T + P + a, id, 1)),
          );
          const thoughts = Array.from({ length: T }, (_, t) => {
            if (name === 'hard') {
              const id = sequence.action.ids!.values[t]!;
              return terms(logProb(reference, other!, t, id, 0.8) - logProb(model, own!, t, id, 0.8));
            }
            const [mean, ref] = [meanAt(model, own!, t, name), meanAt(reference, other!, t, name)];
            const n = mean.length;
            const drawn = Object.values(sequence.action)[0]!.values.slice(t * n, (t + 1) * n);
            const squares = (x: ArrayLike<number>, y: ArrayLike<number>) =>
              Array.from(x).reduce((sum, value, i) => sum + (value - y[i]!) ** 2 / (2 * noiseScale ** 2), 0);
            const closed = squares(mean, ref);
            return { k1: squares(drawn, ref) - squares(drawn, mean), k2: closed, k3: closed };
          });
          const sum = (key: 'k1' | 'k2' | 'k3') =>
            [...thoughts, ...tokens].reduce((total, term) => total + term[key], 0);
          const options = { model, reference, sampler, sequences: [sequence], maxTokens: 100 };
          expectClose(await logRatios(options), [sum('k1')], { rel: 1e-3, abs: 1e-4 });
          for (const estimator of ['k2', 'k3'] as const) {
            const { loss, kl, gradients, scored } = await divergence(estimator, 100, [sequence]);
            expectClose([loss, kl!, scored], [3 * sum(estimator), sum(estimator), 1], { rel: 1e-3, abs: 1e-4 });
            disposeGradients(gradients);
          }
        }
      });

      test.each(['k2', 'k3'] as const)('%s in the loss: the gradient is the slope of the loss', async (estimator) => {
        const { gradients } = await divergence(estimator);
        for (const [parameter, variable] of model.parameters) {
          const gradient = gradients.get(parameter)!.dataSync<'float32'>();
          const start = variable.dataSync<'float32'>().slice();
          const way = normalArray({ seed: 3, step: 0, sample: 0, position: 0, stream: 9 }, start.length);
          const at = async (h: number) => {
            tf.tidy(() =>
              variable.assign(
                tf.tensor(
                  start.map((x, i) => x + h * way[i]!),
                  variable.shape,
                ),
              ),
            );
            const { loss, gradients } = await divergence(estimator);
            disposeGradients(gradients);
            return loss;
          };
          const h = 2e-3;
          const slope = ((await at(h)) - (await at(-h))) / (2 * h);
          await at(0);
          const want = gradient.reduce((sum, g, i) => sum + g * way[i]!, 0);
          const scale = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0) * way.reduce((sum, x) => sum + x * x, 0));
          expect(Math.abs(slope - want), parameter).toBeLessThan(0.01 * scale + 1e-3);
        }
        disposeGradients(gradients);
      });

      test('the same in any micro-batches; 0, and no gradient, at the reference; nothing left behind', async () => {
        const tensors = tf.memory().numTensors;
        const [whole, parts] = [await divergence('k3'), await divergence('k3', 1)];
        expectClose([parts.loss, parts.kl!], [whole.loss, whole.kl!], { rel: 1e-4 });
        expect(whole.scored).toBe(sequences.length);
        const at = await divergence('k3', 1000, sequences, model);
        expect([at.loss, at.kl]).toEqual([0, 0]);
        for (const gradient of at.gradients.values()) expectClose(gradient, new Float32Array(gradient.size));
        const options = { model, sampler, sequences };
        expect(await logRatios({ ...options, reference: model, maxTokens: 9 })).toEqual(sequences.map(() => 0));
        expectClose(
          await logRatios({ ...options, reference, maxTokens: 1 }),
          await logRatios({ ...options, reference, maxTokens: 1000 }),
          { rel: 1e-3, abs: 1e-4 },
        );
        for (const { gradients } of [whole, parts, at]) disposeGradients(gradients);
        expect(tf.memory().numTensors).toBe(tensors);
      });
    });
  },
  enginesUnderTest,
);

/** The states that predict what follows a prompt, `[T + P + A, d]`, by one plain forward pass. */
function statesOf(model: CausalLM, sampler: Sampler<Action>, sequence: RecordedSequence): tf.Tensor2D {
  const { promptIds, action, prefillIds, answerIds } = sequence;
  const tensors: Action = {};
  for (const [key, { dtype, shape, values }] of Object.entries(action)) {
    tensors[key] = tf.tensor(values, [1, ...shape], dtype);
  }
  const ids = (list: readonly number[]) => model.embed(tf.tensor2d([[...list]], undefined, 'int32')) as tf.Tensor3D;
  const inputs = tf.concat([ids(promptIds), sampler.inputs(tensors, model), ids([...prefillIds, ...answerIds])], 1);
  const states = model.forward(inputs as tf.Tensor3D);
  const rows = tf.reshape(states, [-1, model.hiddenSize]) as tf.Tensor2D;
  return tf.slice(rows, [promptIds.length - 1, 0]) as tf.Tensor2D;
}

const rowAt = (states: tf.Tensor2D, t: number) => tf.slice(states, [t, 0], [1, -1]);

const logProb = (model: CausalLM, states: tf.Tensor2D, t: number, id: number, temperature: number): number =>
  tf.logSoftmax(tf.div(model.head.logits(rowAt(states, t)), temperature)).dataSync()[id]!;

/** What a Gaussian step at t is drawn about. */
function meanAt(model: CausalLM, states: tf.Tensor2D, t: number, name: string): ArrayLike<number> {
  const hidden = rowAt(states, t);
  if (name === 'noise on the hidden state') return hidden.dataSync();
  const logits = model.head.logits(hidden);
  if (name === 'noise on the logits') return logits.dataSync();
  return tf.matMul(tf.softmax(tf.div(logits, 0.5)) as tf.Tensor2D, model.inputEmbedding as tf.Tensor2D).dataSync();
}

eachEngine(
  useEngine,
  () => {
    test('in the reward, hard thoughts: over all of them, exactly that slope', async () => {
      const coefficient = 0.7;
      const [model, reference] = [4, 5].map((seed) => toyModel({ vocabSize: V, hiddenSize: 4, seed, spread: 1 }));
      const sampler = hard({ temperature: 0.8 }) as Sampler<Action>;
      const ids = Array.from({ length: V }, (_, id) => id);
      const pairs = ids.flatMap((thought) => ids.map((answer) => [thought, answer] as const));
      const reward = pairs.map(([thought, answer]) => Math.sin(3 * thought + answer));
      /** log π of each thought and answer, `[V V]`, by a plain forward pass. */
      const logProbs = (each: CausalLM) => {
        const prompts = ids.map((id) => [...PROMPT, id]);
        const states = each.forward(each.embed(tf.tensor2d(prompts, undefined, 'int32')) as tf.Tensor3D);
        const at = (t: number, temperature: number) =>
          tf.logSoftmax(
            tf.div(each.head.logits(tf.squeeze(tf.slice(states, [0, t, 0], [-1, 1, -1]), [1])), temperature),
          );
        const thought = tf.slice(at(PROMPT.length - 1, 0.8), [0, 0], [1, -1]);
        return tf.reshape(tf.add(tf.transpose(thought), at(PROMPT.length, 1)), [V * V]);
      };
      const other = tf.tidy(() => logProbs(reference!));
      const { value, grads } = tf.variableGrads(() => {
        const own = logProbs(model!);
        const worth = tf.sub(tf.tensor1d(reward), tf.mul(tf.sub(own, other), coefficient));
        return tf.sum(tf.mul(tf.exp(own), worth)) as tf.Scalar;
      }, [...model!.parameters.values()]);
      const sequences: RecordedSequence[] = pairs.map(([thought, answer]) => ({
        promptIds: PROMPT,
        action: { ids: idsAction([thought]) },
        prefillIds: [],
        answerIds: [answer],
      }));
      const given = { model: model!, sampler, sequences, maxTokens: 1000 };
      const nats = await logRatios({ ...given, reference: reference! });
      const probability = tf.tidy(() => tf.exp(logProbs(model!)).dataSync());
      const { gradients } = await policyGradient({
        ...given,
        parameters: model!.parameters,
        advantages: reward.map((r, n) => pairs.length * probability[n]! * (r - coefficient * nats[n]!)),
      });
      for (const [name, variable] of model!.parameters) {
        expectClose(tf.neg(gradients.get(name)!), grads[variable.name]!, { rel: 1e-3, abs: 1e-5 });
      }
      tf.dispose([value, grads, other]);
      disposeGradients(gradients);
      model!.dispose();
      reference!.dispose();
    });

    test('in the reward, soft thoughts: on average the slope of the expected reward less the divergence', async () => {
      const [temperature, coefficient] = [0.5, 0.7];
      const [model, reference] = [4, 5].map((seed) => toyModel({ vocabSize: V, hiddenSize: 4, seed, spread: 1 }));
      const given = { temperature, noiseScale: 0.6, maxThoughtTokens: 1, draws: 4096 };
      const sampler = soft({ temperature, noiseScale: 0.6 }) as Sampler<Action>;
      const plain = averaged(sampler, given);
      const prompt = (each: CausalLM) => each.embed(tf.tensor2d([PROMPT], undefined, 'int32')) as tf.Tensor3D;
      const last = (each: CausalLM, inputs: tf.Tensor3D) =>
        each.head.logits(tf.squeeze(tf.slice(each.forward(inputs), [0, inputs.shape[1] - 1, 0], [-1, 1, -1]), [1]));
      const mean = (each: CausalLM) =>
        tf.matMul(
          tf.softmax(tf.div(last(each, prompt(each)), temperature)) as tf.Tensor2D,
          each.inputEmbedding as tf.Tensor2D,
        );
      /** The divergence of thought and answer at each draw of the noise: `[M]`. */
      const nats = (each: CausalLM) => {
        const M = given.draws;
        const noise = tf.tensor2d(normalArray({ seed: 8, step: 0, sample: 0, position: 0, stream: 9 }, M * 4), [M, 4]);
        const thought = tf.add(mean(each), tf.mul(noise, 0.6));
        const after = (one: CausalLM) =>
          tf.logSoftmax(
            last(one, tf.concat([tf.tile(prompt(one), [M, 1, 1]), tf.reshape(thought, [M, 1, 4])], 1) as tf.Tensor3D),
          );
        const [own, other] = [after(each), after(reference!)];
        const answer = tf.sum(tf.mul(tf.exp(own), tf.sub(own, other)), 1);
        return tf.add(answer, tf.div(tf.sum(tf.square(tf.sub(mean(each), mean(reference!)))), 2 * 0.6 ** 2));
      };
      const problem = {
        ...plain,
        expectation: (each: CausalLM) =>
          tf.tidy(() => tf.sub(plain.expectation(each), tf.mul(nats(each), coefficient)) as tf.Tensor1D),
      };
      const directions = directionsOf(model!, problem);
      const truth = trueSlopes(model!, problem, directions);
      const completions = await draw(model!, problem, 8192, 3);
      const right = slopesOf(
        await ascents(model!, problem, completions, { kl: { reference: reference!, coefficient } }),
        directions,
      );
      for (const z of zScores(right, truth)) expect(Math.abs(z)).toBeLessThan(LIMIT);
      const [steepest] = truth;
      expect(LIMIT * Math.hypot(right[0]!.error, steepest!.error)).toBeLessThan(Math.abs(steepest!.value) / 3);
      // Without the penalty, the slope is another one.
      const without = slopesOf(await ascents(model!, problem, completions), directions);
      expect(Math.max(...zScores(without, truth).map(Math.abs))).toBeGreaterThan(CAUGHT);
    });
  },
  fastEngines,
);
