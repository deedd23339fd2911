// Qwen2 and Qwen2.5, dense. References: arXiv:2407.10671, arXiv:2412.15115; transformers `modeling_qwen2.py`.
import { add } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { type DecoderConfig, decoderConfig, decoderKeys, only, readConfig } from './config.js';
import {
  attentionShapes,
  attentionWeights,
  decoderStack,
  gatedMlp,
  mlpShapes,
  mlpWeights,
  norm,
  normShape,
  selfAttention,
  stackShapes,
} from './layers.js';

export type Qwen2Config = DecoderConfig;

/** The keys of Qwen2 and Qwen3. */
export const qwenKeys = {
  ...decoderKeys,
  use_sliding_window: only(false),
  // Both are written by every one and read only where `use_sliding_window` is true.
  sliding_window: z.number().nullish(),
  max_window_layers: z.number().nullish(),
  layer_types: z.array(z.literal('full_attention')).nullish(),
};

/** Qwen2: as Llama, but the projections to queries, keys and values always add a bias. */
export const qwen2: Architecture<Qwen2Config> = {
  modelType: 'qwen2',
  gguf: { architecture: 'qwen2', className: 'Qwen2ForCausalLM' },

  parseConfig(raw, where) {
    return decoderConfig(readConfig(qwenKeys, raw, where), where);
  },

  parameterShapes(config) {
    return stackShapes(config, (layer) => [
      ...normShape(config, `${layer}.input_layernorm`),
      ...attentionShapes(config, `${layer}.self_attn`, ['q', 'k', 'v']),
      ...normShape(config, `${layer}.post_attention_layernorm`),
      ...mlpShapes(config, `${layer}.mlp`),
    ]);
  },

  forward(config, weight, inputs, cache, options) {
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = attentionWeights(weight, `${layer}.self_attn`, ['q', 'k', 'v']);
      x = add(x, selfAttention(norm(x, weight, `${layer}.input_layernorm`, config), context, attention));
      const mlp = mlpWeights(weight, `${layer}.mlp`);
      return add(x, gatedMlp(norm(x, weight, `${layer}.post_attention_layernorm`, config), mlp));
    });
  },
};
