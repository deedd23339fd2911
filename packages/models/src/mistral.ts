// Mistral 7B and its later, larger models of the same shape. References: arXiv:2310.06825; transformers
// `modeling_mistral.py`.
import { add } from '@tensorflow/tfjs-core';
import type { Architecture } from './architecture.js';
import { type DecoderConfig, decoderConfig, decoderKeys, readConfig, size } from './config.js';
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

export type MistralConfig = DecoderConfig;

const keys = { ...decoderKeys, sliding_window: size.nullish() };

/** The window of v0.1, which transformers takes for a file that says nothing; later ones say null. */
const USUAL_WINDOW = 4096;

/** Mistral: as Llama, but in the first version a position sees no more than the last few thousand. */
export const mistral: Architecture<MistralConfig> = {
  modelType: 'mistral',
  gguf: { architecture: 'llama', className: 'MistralForCausalLM', rotaryPairs: true },

  parseConfig(raw, where) {
    const read = readConfig(keys, raw, where);
    const window = read.sliding_window === undefined ? USUAL_WINDOW : read.sliding_window;
    return { ...decoderConfig(read, where), slidingWindow: window ?? undefined };
  },

  parameterShapes(config) {
    return stackShapes(config, (layer) => [
      ...normShape(config, `${layer}.input_layernorm`),
      ...attentionShapes(config, `${layer}.self_attn`),
      ...normShape(config, `${layer}.post_attention_layernorm`),
      ...mlpShapes(config, `${layer}.mlp`),
    ]);
  },

  forward(config, weight, inputs, cache, options) {
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = attentionWeights(weight, `${layer}.self_attn`);
      x = add(x, selfAttention(norm(x, weight, `${layer}.input_layernorm`, config), context, attention));
      const mlp = mlpWeights(weight, `${layer}.mlp`);
      return add(x, gatedMlp(norm(x, weight, `${layer}.post_attention_layernorm`, config), mlp));
    });
  },
};
