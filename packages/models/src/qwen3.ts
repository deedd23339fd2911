// Qwen3, dense. References: arXiv:2505.09388; transformers `modeling_qwen3.py`.
import { add } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { type DecoderConfig, decoderConfig, readConfig } from './config.js';
import { requireUnbiased } from './ggufLayout.js';
import {
  attentionShapes,
  attentionWeights,
  biased,
  decoderStack,
  gatedMlp,
  headNormShapes,
  headNorms,
  mlpShapes,
  mlpWeights,
  norm,
  normShape,
  selfAttention,
  stackShapes,
} from './layers.js';
import { qwenKeys } from './qwen2.js';

export interface Qwen3Config extends DecoderConfig {
  /** Whether the four projections of attention add a bias. */
  attentionBias: boolean;
}

const keys = { ...qwenKeys, attention_bias: z.boolean().nullish() };

/** Qwen3: as Llama, with an RMS norm of each query and each key before they are turned. */
export const qwen3: Architecture<Qwen3Config> = {
  modelType: 'qwen3',
  gguf: { architecture: 'qwen3', className: 'Qwen3ForCausalLM', writeKeys: requireUnbiased },

  parseConfig(raw, where) {
    const read = readConfig(keys, raw, where);
    return { ...decoderConfig(read, where, { headDim: 128 }), attentionBias: read.attention_bias ?? false };
  },

  parameterShapes(config) {
    return stackShapes(config, (layer) => [
      ...normShape(config, `${layer}.input_layernorm`),
      ...attentionShapes(config, `${layer}.self_attn`, biased(config)),
      ...headNormShapes(config, `${layer}.self_attn`),
      ...normShape(config, `${layer}.post_attention_layernorm`),
      ...mlpShapes(config, `${layer}.mlp`),
    ]);
  },

  forward(config, weight, inputs, cache, options) {
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = {
        ...attentionWeights(weight, `${layer}.self_attn`, biased(config)),
        ...headNorms(weight, `${layer}.self_attn`, config),
      };
      x = add(x, selfAttention(norm(x, weight, `${layer}.input_layernorm`, config), context, attention));
      const mlp = mlpWeights(weight, `${layer}.mlp`);
      return add(x, gatedMlp(norm(x, weight, `${layer}.post_attention_layernorm`, config), mlp));
    });
  },
};
