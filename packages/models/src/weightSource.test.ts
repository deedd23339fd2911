import { engineMemory, useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { initialWeights, loadCausalLM } from './causalLM.js';
import { llama } from './llama.js';
import type { WeightSource, WeightValues } from './weightSource.js';

const config = {
  model_type: 'llama',
  vocab_size: 300,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  rms_norm_eps: 1e-5,
};
const E = 'model.embed_tokens.weight';
const lastNorm = 'model.norm.weight';

/** A source of given weights that notes what is read from it. */
function sourceOf(weights: Record<string, WeightValues>, { usesInto = true } = {}): WeightSource & { reads: string[] } {
  const reads: string[] = [];
  return {
    reads,
    path: 'all',
    tensors: new Map(Object.entries(weights).map(([name, { shape }]) => [name, { shape, file: `file of ${name}` }])),
    async read(name, into) {
      reads.push(name);
      const { values } = weights[name]!;
      if (!(values instanceof Float32Array) || !into || !usesInto) return values.slice();
      into.set(values);
      return into;
    },
  };
}

eachEngine(
  useEngine,
  () => {
    test.each([true, false])('each tensor is read once and is what the source gave (into: %s)', async (usesInto) => {
      const weights = initialWeights(llama, { ...config, tie_word_embeddings: false }, 1);
      const source = sourceOf(weights, { usesInto });
      const model = await loadCausalLM(llama, config, source);
      expect([...source.reads].sort()).toEqual(Object.keys(weights).sort());
      for (const [name, { values }] of Object.entries(weights)) {
        expect(model.parameters.get(name)!.dataSync()).toEqual(values);
      }
      model.dispose();
    });

    test('what does not fit by name or shape is refused before anything is read', async () => {
      const { [lastNorm]: norm, ...others } = initialWeights(llama, config, 1);
      for (const [weights, message] of [
        [others, `all: expected a tensor ${lastNorm} [8], got none`],
        [
          { ...others, [lastNorm]: { ...norm!, shape: [2, 4] } },
          `file of ${lastNorm}: ${lastNorm}: expected shape [8]`,
        ],
        [{ ...others, [lastNorm]: norm!, more: norm! }, 'file of more: more: expected no such tensor'],
      ] as const) {
        const source = sourceOf(weights);
        await expect(loadCausalLM(llama, config, source)).rejects.toThrow(message);
        expect(source.reads).toEqual([]);
      }
    });

    test('what is wrong with the last tensor leaves none of the others behind', async () => {
      const good = initialWeights(llama, config, 1);
      const repeated = { ...good, 'lm_head.weight': good[E]! };
      const without = (damage: Partial<Record<string, WeightValues>>) =>
        sourceOf({ ...repeated, ...damage } as typeof good);
      const before = [tf.memory().numTensors, tf.memory().numBytes, engineMemory().live];
      const tied = { ...config, tie_word_embeddings: true };
      const nan = Float32Array.from(good[lastNorm]!.values.with(3, Number.NaN));
      for (const [source, message] of [
        [
          without({ [lastNorm]: { shape: [8], values: nan } }),
          `file of ${lastNorm}: ${lastNorm}: expected finite weights`,
        ],
        [
          without({ [lastNorm]: { shape: [8], values: new Int32Array(8) as never } }),
          'floating-point weights, got integers',
        ],
        [without({ 'lm_head.weight': { shape: [300, 8], values: new Float32Array(2400) } }), `the values of ${E}`],
        [{ ...without({}), read: () => Promise.reject(new Error('the disk is gone')) }, 'the disk is gone'],
      ] as const) {
        await expect(loadCausalLM(llama, tied, source)).rejects.toThrow(message);
        expect([tf.memory().numTensors, tf.memory().numBytes, engineMemory().live]).toEqual(before);
      }
      const model = await loadCausalLM(llama, tied, without({}));
      expect(model.parameters.has('lm_head.weight')).toBe(false);
      model.dispose();
      expect([tf.memory().numTensors, tf.memory().numBytes, engineMemory().live]).toEqual(before);
    });
  },
  enginesUnderTest,
);
