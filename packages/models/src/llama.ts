// Llama (1 to 3.2), and models of its shape: SmolLM2. References: arXiv:2302.13971, arXiv:2407.21783; transformers
// `modeling_llama.py`.
import { add } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { type DecoderConfig, decoderConfig, decoderKeys, only, readConfig } from './config.js';
import {
  attentionShapes,
  attentionWeights,
  biased,
  decoderStack,
  gatedMlp,
  mlpShapes,
  mlpWeights,
  norm,
  normShape,
  selfAttention,
  stackShapes,
} from './layers.js';

export interface LlamaConfig extends DecoderConfig {
  /** Whether the four projections of attention add a bias. */
  attentionBias: boolean;
}

const keys = { ...decoderKeys, attention_bias: z.boolean().nullish(), mlp_bias: only(false) };

/** Llama: RMS norm before each part, rotary positions, grouped-query attention, gated MLP. */
export const llama: Architecture<LlamaConfig> = {
  modelType: 'llama',
  gguf: {
    architecture: 'llama',
    className: 'LlamaForCausalLM',
    rotaryPairs: true,
    readConfig: (_keys, _common, has) => ({ attention_bias: has('blk.0.attn_q.bias') }),
  },

  parseConfig(raw, where) {
    const read = readConfig(keys, raw, where);
    return { ...decoderConfig(read, where), attentionBias: read.attention_bias ?? false };
  },

  parameterShapes(config) {
    return stackShapes(config, (layer) => [
      ...normShape(config, `${layer}.input_layernorm`),
      ...attentionShapes(config, `${layer}.self_attn`, biased(config)),
      ...normShape(config, `${layer}.post_attention_layernorm`),
      ...mlpShapes(config, `${layer}.mlp`),
    ]);
  },

  forward(config, weight, inputs, cache, options) {
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = attentionWeights(weight, `${layer}.self_attn`, biased(config));
      x = add(x, selfAttention(norm(x, weight, `${layer}.input_layernorm`, config), context, attention));
      const mlp = mlpWeights(weight, `${layer}.mlp`);
      return add(x, gatedMlp(norm(x, weight, `${layer}.post_attention_layernorm`, config), mlp));
    });
  },
};
