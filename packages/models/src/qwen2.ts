// Qwen2 and Qwen2.5, dense. References: arXiv:2407.10671, arXiv:2412.15115; transformers `modeling_qwen2.py`.
// Shapes: B batch, T time, d hidden size, H query heads, K key/value heads, D head dim, V vocabulary.
import { add } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { type DecoderConfig, decoderConfig, decoderKeys, only, readConfig } from './config.js';
import { decoderStack, gatedMlp, norm, projection, selfAttention } from './layers.js';

export type Qwen2Config = DecoderConfig;

const keys = {
  ...decoderKeys,
  use_sliding_window: only(false),
  // Both are written by every Qwen2 and read only where `use_sliding_window` is true.
  sliding_window: z.number().nullish(),
  max_window_layers: z.number().nullish(),
  layer_types: z.array(z.literal('full_attention')).nullish(),
};

/** Qwen2: as Llama, but the projections to queries, keys and values always add a bias. */
export const qwen2: Architecture<Qwen2Config> = {
  modelType: 'qwen2',

  parseConfig(raw, where) {
    return decoderConfig(readConfig(keys, raw, where), where);
  },

  parameterShapes(config) {
    const { vocabSize: V, hiddenSize: d, intermediateSize, numHeads: H, numKeyValueHeads: K, headDim: D } = config;
    const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [V, d]]]);
    for (let i = 0; i < config.numLayers; i++) {
      const layer = `model.layers.${i}`;
      shapes.set(`${layer}.input_layernorm.weight`, [d]);
      for (const [part, out] of [
        ['q_proj', H * D],
        ['k_proj', K * D],
        ['v_proj', K * D],
      ] as const) {
        shapes.set(`${layer}.self_attn.${part}.weight`, [out, d]);
        shapes.set(`${layer}.self_attn.${part}.bias`, [out]);
      }
      shapes.set(`${layer}.self_attn.o_proj.weight`, [d, H * D]);
      shapes.set(`${layer}.post_attention_layernorm.weight`, [d]);
      shapes.set(`${layer}.mlp.gate_proj.weight`, [intermediateSize, d]);
      shapes.set(`${layer}.mlp.up_proj.weight`, [intermediateSize, d]);
      shapes.set(`${layer}.mlp.down_proj.weight`, [d, intermediateSize]);
    }
    return shapes.set('model.norm.weight', [d]);
  },

  forward(config, weight, inputs, cache, options) {
    const { rmsNormEps: eps } = config;
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = selfAttention(norm(x, weight, `${layer}.input_layernorm`, eps), context, {
        q: projection(weight, `${layer}.self_attn.q_proj`, true),
        k: projection(weight, `${layer}.self_attn.k_proj`, true),
        v: projection(weight, `${layer}.self_attn.v_proj`, true),
        o: projection(weight, `${layer}.self_attn.o_proj`),
      });
      x = add(x, attention);
      const mlp = gatedMlp(norm(x, weight, `${layer}.post_attention_layernorm`, eps), {
        gate: projection(weight, `${layer}.mlp.gate_proj`),
        up: projection(weight, `${layer}.mlp.up_proj`),
        down: projection(weight, `${layer}.mlp.down_proj`),
      });
      return add(x, mlp);
    });
  },
};
