import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { embeddingRms, noiseScale, noiseScaleOf } from './noiseScale.js';

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

    test('refused: a negative factor, an embedding without a size', () => {
      expect(() => noiseScale(E(), -1)).toThrow('got -1');
      expect(() => noiseScale(E(), Number.NaN)).toThrow('got NaN');
      expect(() => embeddingRms(model(tf.zeros([3, 2])))).toThrow('got rms 0');
      expect(() => embeddingRms(model(tf.tensor2d([[Number.NaN]])))).toThrow('got rms NaN');
    });
  },
  enginesUnderTest,
);
