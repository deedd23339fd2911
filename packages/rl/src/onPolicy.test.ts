// On the engine `native` every value of a sequence has the same bits whatever it is computed beside: so the log-probabilities
// that a rollout saw, one token at a time on the cache, are those of the scoring pass, which computes all positions at once.
import { type CausalLM, gemma3, withLora } from '@soft-tokens/models';
import {
  type Action,
  fuzzy,
  hard,
  hiddenNoise,
  logitNoise,
  type Observation,
  type Sampler,
  soft,
  topKNoise,
} from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { rollout } from './rollout.js';
import { score, thoughtLength, withCaches } from './score.js';
import { digitFormat, digitQuestions, digits, toyModel } from './test/toy.js';

const samplers: Record<string, Sampler<Action>> = {
  hard: hard({ temperature: 0.8 }) as Sampler<Action>,
  soft: soft({ temperature: 0.5, noiseScale: 0.4 }) as Sampler<Action>,
  fuzzy: fuzzy({ temperature: 0.1, noiseScale: 0.4 }) as Sampler<Action>,
  'noisy hidden': soft({ temperature: 0.5, noiseScale: 0.4, placement: hiddenNoise }) as Sampler<Action>,
  'noisy logits': soft({ temperature: 0.5, noiseScale: 0.4, placement: logitNoise }) as Sampler<Action>,
  'noisy top 4': soft({ temperature: 1, noiseScale: 0.4, placement: topKNoise(4) }) as Sampler<Action>,
};

/** Adapters as after training: B is not 0. */
function withMovedAdapters(base: CausalLM): CausalLM {
  const model = withLora(base, { r: 3, alpha: 6, target: 'all-linear', seed: 1 });
  for (const [name, variable] of model.parameters) {
    if (name.includes('lora_B'))
      tf.tidy(() => variable.assign(tf.sin(tf.reshape(tf.range(1, variable.size + 1), variable.shape))));
  }
  return model;
}

/** Gemma's layers see few positions or all, and its stack reads scaled embeddings. */
const gemmaKeys = { num_hidden_layers: 2, head_dim: 4, sliding_window: 3, sliding_window_pattern: 2 };
const models: Record<string, () => CausalLM> = {
  llama: () => toyModel({ vocabSize: digits.vocabSize }),
  gemma3: () => toyModel({ vocabSize: digits.vocabSize, architecture: gemma3, keys: gemmaKeys }),
  adapters: () => withMovedAdapters(toyModel({ vocabSize: digits.vocabSize })),
};

const each = Object.keys(samplers).flatMap((name) =>
  Object.keys(models).flatMap((kind) => [1, 3].map((threads) => ({ name, kind, threads }))),
);

eachEngine(useEngine, () => {
  test.each(each)(
    '$name, $kind, $threads threads: rollout and scoring agree to the last bit',
    async ({ name, kind, threads }) => {
      await useEngine('native', { threads });
      const [sampler, model] = [samplers[name]!, models[kind]!()];
      const states: Record<Observation['phase'], Float32Array[][]> = { thought: [], answer: [] };
      const observe = ({ phase, rows, hidden }: Observation) => {
        const values = hidden.dataSync<'float32'>();
        rows.forEach((row, i) => {
          states[phase][row] ??= [];
          states[phase][row].push(values.slice(i * model.hiddenSize, (i + 1) * model.hiddenSize));
        });
      };
      const samples = await rollout({
        model,
        sampler,
        text: digits,
        format: digitFormat,
        reward: () => ({ reward: 0, correct: false, boxed: false }),
        questions: digitQuestions('3', '14', '159'), // of different lengths, so that two are padded
        samples: 5,
        maxThoughtTokens: 9,
        maxAnswerTokens: 3,
        answerTemperature: 0.7,
        seed: 7,
        observe,
      });
      const scored = tf.tidy(() => {
        const { thought, answer } = withCaches((own) =>
          score({ model, sampler, sequences: samples, answerTemperature: 0.7 }, own),
        );
        return { thought: thought.arraySync(), answer: answer.arraySync() };
      });
      samples.forEach(({ action, answerIds }, n) => {
        const seen = tf.tidy(() => ({
          thought: states.thought[n]!.map((state, t) => {
            const one = Object.fromEntries(
              Object.entries(action).map(([key, { dtype, shape, values }]) => {
                const size = values.length / shape[0]!;
                return [key, tf.tensor(values.slice(t * size, (t + 1) * size), [1, 1, ...shape.slice(1)], dtype)];
              }),
            );
            return sampler.logProb(tf.tensor3d(state, [1, 1, model.hiddenSize]), model, one).dataSync()[0]!;
          }),
          answer: states.answer[n]!.map((state, a) => {
            const id = tf.tensor2d([answerIds[a]!], [1, 1], 'int32');
            const hidden = tf.tensor3d(state, [1, 1, model.hiddenSize]);
            return model.head.logProb(hidden, id, 0.7).dataSync()[0]!;
          }),
        }));
        expect(seen.thought.every(Number.isFinite) && seen.answer.every(Number.isFinite)).toBe(true);
        expect(scored.thought[n]!.slice(0, thoughtLength({ action }))).toEqual(seen.thought);
        expect(scored.answer[n]!.slice(0, answerIds.length)).toEqual(seen.answer);
      });
      model.dispose();
    },
  );
}, ['native']);
