// On the engine `native` the log-probabilities of recorded sequences are the same bits in any micro-batches, and so are
// gradients, whether layers are computed again or not.
import { type Action, decode, fuzzy, hard, type Sampler, soft } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { disposeGradients, microBatches, policyGradient } from './gradients.js';
import { score, thoughtLength, withCaches } from './score.js';
import { digitFormat, digits, toyModel } from './test/toy.js';

const samplers = {
  hard: hard({ temperature: 0.8 }),
  soft: soft({ temperature: 0.5, noiseScale: 0.4 }),
  fuzzy: fuzzy({ noiseScale: 0.4 }),
};

eachEngine(useEngine, () => {
  test.each(Object.entries(samplers))('%s', async (_, given) => {
    const sampler = given as Sampler<Action>;
    const model = toyModel({ vocabSize: digits.vocabSize, hiddenSize: 32 });
    const sequences = await decode({
      model,
      sampler,
      text: digits,
      format: digitFormat,
      prompts: [[1], [2, 3, 4], [5, 6]],
      samples: 7,
      maxThoughtTokens: 9,
      maxAnswerTokens: 3,
      answerTemperature: 1,
      seed: 3,
    });
    // In batches of their own lengths, so of other widths, paddings and shared prompts than all together.
    const scored = (batches: readonly number[][]) => {
      const found: { thought: number[]; answer: number[] }[] = [];
      for (const batch of batches) {
        tf.tidy(() => {
          const some = batch.map((n) => sequences[n]!);
          const { thought, answer } = withCaches((own) => score({ model, sampler, sequences: some }, own));
          const [t, a] = [thought.arraySync(), answer.arraySync()];
          batch.forEach((n, i) => {
            const { answerIds } = sequences[n]!;
            found[n] = {
              thought: t[i]!.slice(0, thoughtLength(sequences[n]!)),
              answer: a[i]!.slice(0, answerIds.length),
            };
          });
        });
      }
      return found;
    };
    const all = sequences.map((_, n) => n);
    const want = scored([all]);
    expect(want.flatMap(({ thought, answer }) => [...thought, ...answer]).every(Number.isFinite)).toBe(true);
    expect(new Set(want.map(({ answer }) => answer.length)).size).toBeGreaterThan(1);
    for (const maxTokens of [1, 20, 50, 100]) {
      const batches = microBatches(sequences, maxTokens);
      expect(batches.length).toBeGreaterThan(1);
      expect(scored(batches)).toEqual(want);
    }
    expect(scored([all.toReversed()])).toEqual(want);
    expect(scored([all.filter((n) => n % 2 === 0), all.filter((n) => n % 2 === 1)])).toEqual(want);

    const advantages = sequences.map((_, n) => (n % 3) - 1.5);
    const { parameters } = model;
    const gradients = async (recompute: boolean) => {
      const got = await policyGradient({
        model,
        sampler,
        parameters,
        sequences,
        advantages,
        maxTokens: 100,
        recompute,
      });
      const values = Array.from(got.gradients, ([name, x]) => [name, x.dataSync<'float32'>().slice()] as const);
      disposeGradients(got.gradients);
      return { loss: got.loss, values };
    };
    const kept = await gradients(false);
    expect(kept.values.every(([, values]) => values.every(Number.isFinite) && values.some((x) => x !== 0))).toBe(true);
    expect(await gradients(true)).toEqual(kept);
    model.dispose();
  });
}, ['native']);
