import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test, vi } from 'vitest';
import { freeze } from './freeze.js';

function toy() {
  const model = tinyModel({ vocabSize: 5, hiddenSize: 3, seed: 1 });
  const parameters = new Map(model.variables.map((variable, i) => [`p${i}`, variable]));
  return Object.assign(model, { parameters });
}

eachEngine(
  useEngine,
  () => {
    describe('freeze', () => {
      test('leaves the named parameters out and the model as it is', () => {
        const model = toy();
        const frozen = freeze(model, ['p0']);
        expect([...frozen.parameters.keys()]).toEqual([...model.parameters.keys()].filter((name) => name !== 'p0'));
        const states = (m: typeof frozen) =>
          tf.tidy(() => m.forward(m.embed(tf.tensor2d([[1, 2, 3]], [1, 3], 'int32')) as tf.Tensor3D).dataSync());
        expect(states(frozen)).toEqual(states(model));
        const forward = vi.spyOn(model, 'forward');
        const [inputs, cache] = [tf.zeros<tf.Rank.R3>([1, 1, 3]), model.createCache(Int32Array.of(0))];
        frozen.forward(inputs, cache, { recompute: true }).dispose();
        expect(forward).toHaveBeenCalledExactlyOnceWith(inputs, cache, { recompute: true });
        cache.dispose();
        inputs.dispose();
      });

      test('refuses a name that is no parameter, and a model without any left', () => {
        const model = toy();
        expect(() => freeze(model, ['lm_head'])).toThrow(
          /expected the name of a parameter, got lm_head; the model has p0/,
        );
        expect(() => freeze(model, [...model.parameters.keys()])).toThrow(/left to train/);
      });
    });
  },
  enginesUnderTest,
);
