import { hard, type Sampler } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { disposeGradients, microBatches, policyGradient } from './gradients.js';
import type { RecordedSequence, Scorer } from './score.js';
import { idsAction } from './test/fixtures.js';
import { toyModel } from './test/toy.js';

/** A sequence of T thought ids and one answer id. */
const sequence = (promptIds: number[], T: number): RecordedSequence => ({
  promptIds,
  action: { ids: idsAction(Array.from({ length: T }, (_, t) => (t + promptIds[0]!) % 9)) },
  prefillIds: [8],
  answerIds: [T % 9],
});

describe('microBatches', () => {
  const sequences = [5, 2, 9, 5, 3, 40].flatMap((T) => [sequence([1], T), sequence([2, 3], T + 1)]);

  test('holds each sequence once, within the budget but for one that is longer alone', () => {
    for (const maxTokens of [1, 12, 30, 1000]) {
      const batches = microBatches(sequences, maxTokens);
      expect(batches.flat().sort((i, j) => i - j)).toEqual(sequences.map((_, i) => i));
      for (const batch of batches) {
        const widest = Math.max(...batch.map((i) => sequences[i]!.action.ids!.shape[0]! + 2));
        expect(batch.length === 1 || widest * batch.length <= maxTokens).toBe(true);
      }
    }
    expect(microBatches(sequences, 1000).length).toBe(1);
    expect(microBatches(sequences, 1).length).toBe(sequences.length);
    expect(microBatches([], 10)).toEqual([]);
  });

  test('golden: prompts together, by length within them', () => {
    const some = [sequence([1], 4), sequence([2], 4), sequence([1], 2), sequence([2], 2)]; // 6, 6, 4 and 4 positions
    expect(microBatches(some, 12)).toEqual([
      [2, 0],
      [3, 1],
    ]);
    expect(microBatches(some, 11)).toEqual([[2], [0], [3], [1]]);
  });

  test('refuses a budget of nothing', () => {
    expect(() => microBatches(sequences, 0)).toThrow(/maxTokens > 0, got 0/);
    expect(() => microBatches(sequences, Number.NaN)).toThrow(RangeError);
  });
});

eachEngine(
  useEngine,
  () => {
    describe('policyGradient', () => {
      let model: ReturnType<typeof toyModel>;
      beforeAll(() => {
        model = toyModel({ vocabSize: 9 });
      });
      afterAll(() => model.dispose());

      const sampler = hard({ temperature: 1 }) as Sampler as Scorer;
      const sequences = [3, 1, 2, 4, 2, 3].map((T, n) => sequence(n % 2 ? [1] : [2, 3], T));
      const advantages = [2, -1, 0, 0.5, 0, -3];
      const gradient = (
        maxTokens: number,
        which = sequences.map((_, n) => n),
        pause?: () => Promise<void>,
      ): ReturnType<typeof policyGradient> =>
        policyGradient({
          model,
          sampler,
          parameters: model.parameters,
          sequences: which.map((n) => sequences[n]!),
          advantages: which.map((n) => advantages[n]!),
          maxTokens,
          ...(pause && { pause }),
        });

      test('another micro-batch size or order changes it by rounding only', async () => {
        const want = await gradient(1000);
        for (const other of [await gradient(1), await gradient(12), await gradient(1000, [5, 3, 1, 0, 2, 4])]) {
          expectClose([other.loss], [want.loss]);
          for (const [name, values] of want.gradients) {
            const scale = Math.max(...values.dataSync().map(Math.abs));
            expectClose(other.gradients.get(name)!, values, { rel: 0, abs: 2e-6 * scale });
          }
          disposeGradients(other.gradients);
        }
        disposeGradients(want.gradients);
      });

      test('sequences without an advantage count, and are not computed', async () => {
        const all = await gradient(1000);
        const some = await gradient(1000, [0, 1, 3, 5]);
        expect([all.scored, some.scored]).toEqual([4, 4]);
        expectClose([all.loss], [(some.loss * 4) / 6]);
        const none = await gradient(1000, [2, 4]);
        expect([none.loss, none.scored]).toEqual([0, 0]);
        for (const values of none.gradients.values()) expect(values.dataSync().every((x) => x === 0)).toBe(true);
        expect([...none.gradients.keys()]).toEqual([...model.parameters.keys()]);
        for (const { gradients } of [all, some, none]) disposeGradients(gradients);
      });

      test('stops between micro-batches when told to, and leaves nothing behind', async () => {
        const tensors = tf.memory().numTensors;
        let pauses = 0;
        const pause = async () => {
          if (++pauses === 3) throw new Error('enough');
        };
        await expect(gradient(1, undefined, pause)).rejects.toThrow('enough');
        expect(tf.memory().numTensors).toBe(tensors);
      });

      test('refuses another number of advantages', async () => {
        const options = { model, sampler, parameters: model.parameters, sequences, maxTokens: 10 };
        await expect(policyGradient({ ...options, advantages: [1] })).rejects.toThrow(/got 1 for 6/);
      });
    });
  },
  enginesUnderTest,
);
