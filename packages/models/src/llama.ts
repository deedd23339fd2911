// Llama (1 to 3.2). References: arXiv:2302.13971, arXiv:2407.21783; transformers `modeling_llama.py`.
// Shapes: B batch, T time, d hidden size, H query heads, K key/value heads, D head dim, V vocabulary.
import { add } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { type DecoderConfig, decoderConfig, decoderKeys, only, readConfig } from './config.js';
import { decoderStack, gatedMlp, norm, projection, selfAttention } from './layers.js';

export interface LlamaConfig extends DecoderConfig {
  /** Whether the four projections of attention add a bias. */
  attentionBias: boolean;
}

const keys = { ...decoderKeys, attention_bias: z.boolean().nullish(), mlp_bias: only(false) };

/** Llama: RMS norm before each part, rotary positions, grouped-query attention, gated MLP. */
export const llama: Architecture<LlamaConfig> = {
  modelType: 'llama',

  parseConfig(raw, where) {
    const read = readConfig(keys, raw, where);
    return { ...decoderConfig(read, where), attentionBias: read.attention_bias ?? false };
  },

  parameterShapes(config) {
    const { vocabSize: V, hiddenSize: d, intermediateSize, numHeads: H, numKeyValueHeads: K, headDim: D } = config;
    const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [V, d]]]);
    for (let i = 0; i < config.numLayers; i++) {
      const layer = `model.layers.${i}`;
      shapes.set(`${layer}.input_layernorm.weight`, [d]);
      for (const [part, out, width] of [
        ['q_proj', H * D, d],
        ['k_proj', K * D, d],
        ['v_proj', K * D, d],
        ['o_proj', d, H * D],
      ] as const) {
        shapes.set(`${layer}.self_attn.${part}.weight`, [out, width]);
        if (config.attentionBias) shapes.set(`${layer}.self_attn.${part}.bias`, [out]);
      }
      shapes.set(`${layer}.post_attention_layernorm.weight`, [d]);
      shapes.set(`${layer}.mlp.gate_proj.weight`, [intermediateSize, d]);
      shapes.set(`${layer}.mlp.up_proj.weight`, [intermediateSize, d]);
      shapes.set(`${layer}.mlp.down_proj.weight`, [d, intermediateSize]);
    }
    return shapes.set('model.norm.weight', [d]);
  },

  forward(config, weight, inputs, cache, options) {
    const { rmsNormEps: eps, attentionBias: bias } = config;
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = selfAttention(norm(x, weight, `${layer}.input_layernorm`, eps), context, {
        q: projection(weight, `${layer}.self_attn.q_proj`, bias),
        k: projection(weight, `${layer}.self_attn.k_proj`, bias),
        v: projection(weight, `${layer}.self_attn.v_proj`, bias),
        o: projection(weight, `${layer}.self_attn.o_proj`, bias),
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
