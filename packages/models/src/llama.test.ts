import { readSafetensors, useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { createCausalLM } from './causalLM.js';
import { readJson } from './files.js';
import { loadModel } from './huggingFace.js';
import { llama } from './llama.js';
import { embedded, fixture, testParity } from './test/parity.js';
import type { WeightValues } from './weightSource.js';

testParity('llama-tied', 'llama-untied-gqa', 'llama3-rope');

eachEngine(
  useEngine,
  () => {
    test('attention_bias: with Qwen2 weights and a zero output bias, it is Qwen2', async () => {
      const directory = fixture('qwen2-untied-gqa');
      const { model_type, use_sliding_window, architectures, ...config } = await readJson(`${directory}/config.json`);
      const weights = { ...(await readSafetensors(`${directory}/model.safetensors`)) } as Record<string, WeightValues>;
      const d = config.hidden_size as number;
      for (let i = 0; i < (config.num_hidden_layers as number); i++) {
        weights[`model.layers.${i}.self_attn.o_proj.bias`] = { shape: [d], values: new Float32Array(d) };
      }
      const want = await loadModel(directory);
      const got = createCausalLM(llama, { ...config, model_type: 'llama', attention_bias: true }, weights);
      const ids = [1, 5, 3, 7];
      expect(got.forward(embedded(got, ids)).dataSync()).toEqual(want.forward(embedded(want, ids)).dataSync());

      // The output bias is added, not only accepted.
      const bias = got.parameters.get('model.layers.0.self_attn.o_proj.bias')!;
      bias.assign(tf.ones([d]));
      expect(got.forward(embedded(got, ids)).dataSync()).not.toEqual(want.forward(embedded(want, ids)).dataSync());
      got.dispose();
      want.dispose();
    });
  },
  enginesUnderTest,
);
