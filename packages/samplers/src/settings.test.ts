import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { isDeterministic, type SettingName, samplerFor, settingNames } from './settings.js';
import { fixedNoise, headModel, threeTokens } from './test/models.js';

const noiseScale = 0.25;

/** What a setting feeds at logits [2, 1.9999, 0] with ε = [2, -4] and u = 0.6, and at ε = 0, u = 0. */
function inputs(name: SettingName, temperature?: number): { noisy: Float32Array; quiet: Float32Array } {
  const step = (normal: number[], u: number) =>
    samplerFor(name, noiseScale, temperature)
      .step(
        tf.tensor2d([[2, 1.9999, 0]]),
        headModel(tf.tensor2d(threeTokens)),
        fixedNoise({ normal: [normal], uniform: [[u]] }),
      )
      .input.dataSync<'float32'>();
  return { noisy: step([2, -4], 0.6), quiet: step([0, 0], 0) };
}

eachEngine(
  useEngine,
  () => {
    test('the six settings, in the order of the paper’s table 3', () => {
      expect(settingNames).toEqual([
        'hard-greedy',
        'hard-sample',
        'fuzzy-greedy',
        'fuzzy-sample',
        'soft-greedy',
        'soft-sample',
      ]);
      for (const name of settingNames) {
        expect(samplerFor(name, noiseScale).name).toBe(name.split('-')[0]);
        const { noisy, quiet } = inputs(name);
        expect(isDeterministic(name)).toBe(name.endsWith('greedy'));
        expect(noisy.every((value, i) => value === quiet[i])).toBe(isDeterministic(name));
      }
    });

    test('hard: ids, at τ 0 and 1', () => {
      expectClose(inputs('hard-greedy').noisy, [1, 0]);
      // softmax = [.4683, .4683, .0634]: u = 0.6 is the second, u = 0 the first
      expectClose(inputs('hard-sample').noisy, [0, 1]);
      expectClose(inputs('hard-sample').quiet, [1, 0]);
      const ids = tf.zeros([1, 1], 'int32');
      const model = headModel(tf.tensor2d(threeTokens));
      const logProb = samplerFor('hard-sample', noiseScale).logProb(tf.tensor3d([[[2, 1, 0]]]), model, { ids });
      expectClose(logProb.dataSync(), [Math.log(0.665240955775)]); // τ is 1
    });

    test('soft: mixtures at τ 0.5, with noise σ ε when sampling', () => {
      const weights = [4, 3.9998, 0].map(Math.exp);
      const total = weights.reduce((a, b) => a + b);
      const mean = [(weights[0]! - weights[2]!) / total, (weights[1]! - weights[2]!) / total];
      expectClose(inputs('soft-greedy').noisy, mean);
      expectClose(inputs('soft-sample').quiet, mean);
      expectClose(inputs('soft-sample').noisy, [mean[0]! + 0.5, mean[1]! - 1]);
    });

    test('fuzzy: mixtures at τ 0.0001, with noise σ ε when sampling', () => {
      const mean = [0.7310585786, 0.2689414214];
      expectClose(inputs('fuzzy-greedy').noisy, mean, { abs: 1e-4 });
      expectClose(inputs('fuzzy-sample').quiet, mean, { abs: 1e-4 });
      expectClose(inputs('fuzzy-sample').noisy, [mean[0]! + 0.5, mean[1]! - 1], { abs: 1e-4 });
    });

    test('another temperature takes the place of the setting’s own', () => {
      expectClose(inputs('fuzzy-sample', 0.5).noisy, inputs('soft-sample').noisy);
      expectClose(inputs('soft-greedy', 0.0001).quiet, inputs('fuzzy-greedy').quiet);
      // u = 0.6 lies within the first of [.73, .27, 0] at τ = 0.0001, beyond the first of [.42, .42, .16] at τ = 1.
      expectClose(inputs('hard-sample', 0.0001).noisy, threeTokens[0]!);
      expectClose(inputs('hard-sample').noisy, threeTokens[1]!);
    });
  },
  enginesUnderTest,
);

test('refuses another name', () => {
  expect(() => samplerFor('soft' as SettingName, 1)).toThrow(
    new RangeError(
      'samplerFor: expected one of hard-greedy, hard-sample, fuzzy-greedy, fuzzy-sample, soft-greedy, soft-sample, got soft',
    ),
  );
  expect(() => samplerFor('toString' as SettingName, 1)).toThrow(RangeError);
});
