import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { embeddingRms, noiseScale, noiseScaleOf, stateRms } from './noiseScale.js';

const model = (inputEmbedding: tf.Tensor, embeddingScale = 1) => ({
  inputEmbedding: inputEmbedding as tf.Tensor2D,
  embeddingScale,
});
const E = (scale?: number) => model(tf.tensor2d([[1, 0], [0, 1], [-1, -1]]), scale); // biome-ignore format: a matrix

eachEngine(
  useEngine,
  () => {
    test('golden: sqrt(4 / 6) an entry, sqrt(4 / 3) a row', () => {
      expect(embeddingRms(E())).toBeCloseTo(0.8164965809, 10);
      expect(noiseScale(E())).toBeCloseTo(0.2694438717, 10);
      expect(embeddingRms(E(), 'row')).toBeCloseTo(1.1547005384, 10);
      expect(noiseScale(E(), 0.33, 'row')).toBeCloseTo(0.3810511777, 10);
      expect(noiseScale(E(), 0)).toBe(0);
      expect(noiseScaleOf({ embeddingRms: 0.8164965809, hiddenSize: 2 }, 0.33, 'row')).toBeCloseTo(0.3810511777, 9);
    });

    test('golden: measured in what the stack is fed, √2 E', () => {
      expect(embeddingRms(E(Math.SQRT2))).toBeCloseTo(1.1547005384, 10);
      expect(noiseScale(E(Math.SQRT2), 0.5, 'row')).toBeCloseTo(0.8164965809, 10);
      expect(() => embeddingRms(E(Number.NaN))).toThrow('got rms NaN');
    });

    test('summed in float64: a million equal entries give that entry', () => {
      expect(embeddingRms(model(tf.fill([1000, 1000], 0.1)))).toBeCloseTo(Math.fround(0.1), 12);
    });

    test('the size of hidden states, and of logits about their mean: the definition in float64', () => {
      const tiny = tinyModel({ vocabSize: 11, hiddenSize: 6, seed: 4 });
      // Large logits that all share a constant, which no softmax sees.
      const head = { ...tiny.head, logits: (h: tf.Tensor) => tf.add(tiny.head.logits(h), 64) };
      const prompts = [[1, 4, 2], [7], [], [3, 3, 9, 10]];
      const rows = (x: tf.Tensor) => (x.arraySync() as number[][][])[0]!;
      const states = prompts.flatMap((prompt) => {
        if (prompt.length === 0) return [];
        const hidden = tiny.forward(tiny.embed(tf.tensor2d([prompt], undefined, 'int32')) as tf.Tensor3D);
        const logits = rows(tiny.head.logits(hidden));
        return rows(hidden).map((h, t) => ({ h, z: logits[t]! }));
      });
      const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
      const hidden = Math.sqrt(mean(states.flatMap(({ h }) => h.map((x) => x ** 2))));
      const logits = Math.sqrt(mean(states.flatMap(({ z }) => z.map((x) => (x - mean(z)) ** 2))));
      const before = tf.memory().numTensors;
      const sizes = stateRms({ ...tiny, head }, prompts);
      expect(tf.memory().numTensors).toBe(before);
      expect(sizes.hidden / hidden).toBeCloseTo(1, 5);
      expect(sizes.logits / logits).toBeCloseTo(1, 5);
      expect(() => stateRms(tiny, [[]])).toThrow('over 0 positions, got rms NaN; check the weights and the prompts');
      tiny.dispose();
    });

    test('refused: a negative factor, an embedding without a size', () => {
      expect(() => noiseScale(E(), -1)).toThrow('got -1');
      expect(() => noiseScale(E(), Number.NaN)).toThrow('got NaN');
      expect(() => embeddingRms(model(tf.zeros([3, 2])))).toThrow('got rms 0');
      expect(() => embeddingRms(model(tf.tensor2d([[Number.NaN]])))).toThrow('got rms NaN');
    });
  },
  enginesUnderTest,
);
