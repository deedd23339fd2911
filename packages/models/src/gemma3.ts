// Gemma 3, its text models. References: arXiv:2503.19786; transformers `modeling_gemma3.py`.
import { geglu } from '@soft-tokens/tensor';
import { add } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import {
  type DecoderConfig,
  decoderConfig,
  decoderKeys,
  factor,
  type LayerAttention,
  only,
  readConfig,
  ropeObject,
  rotaryKeys,
  size,
} from './config.js';
import {
  attentionShapes,
  attentionWeights,
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

export interface Gemma3Config extends DecoderConfig {
  /** Whether the four projections of attention add a bias. */
  attentionBias: boolean;
}

const layerTypes = ['sliding_attention', 'full_attention'] as const;
type LayerType = (typeof layerTypes)[number];

const keys = {
  ...decoderKeys,
  hidden_act: only('gelu_pytorch_tanh'),
  hidden_activation: only('gelu_pytorch_tanh'),
  attention_bias: z.boolean().nullish(),
  query_pre_attn_scalar: factor.nullish(),
  sliding_window: size.nullish(),
  sliding_window_pattern: size.nullish(),
  layer_types: z.array(z.enum(layerTypes)).nullish(),
  rope_local_base_freq: factor.nullish(),
  /** transformers 5 has one for each kind of layer. */
  rope_parameters: z.strictObject({ full_attention: ropeObject, sliding_attention: ropeObject }).nullish(),
};

type Keys = z.output<z.ZodObject<typeof keys>>;

/** The kind of each layer: listed, or every sixth, or whatever is said instead, sees all positions and the others few. */
function typesOf(read: Keys, where: string): LayerType[] {
  const { num_hidden_layers: count, sliding_window_pattern: pattern, layer_types: types } = read;
  if (types && types.length !== count) {
    throw new Error(`${where}: layer_types: expected num_hidden_layers ${count} of them, got ${types.length}`);
  }
  const usual = (index: number) => ((index + 1) % (pattern ?? 6) === 0 ? 'full_attention' : 'sliding_attention');
  return types ?? Array.from({ length: count }, (_, index) => usual(index));
}

const biased = ({ attentionBias }: Gemma3Config) => (attentionBias ? (['q', 'k', 'v', 'o'] as const) : []);

/**
 * Gemma 3: scaled embeddings, RMS norms before and after each part and of each query and key, layers that see few
 * positions between those that see all, a feed-forward network gated by GELU. The scale is √d in float32, as transformers
 * has it for float32 weights; for bfloat16 weights it rounds it to bfloat16, by up to 0.4 %.
 */
export const gemma3: Architecture<Gemma3Config> = {
  modelType: 'gemma3_text',

  parseConfig(raw, where) {
    const read = readConfig(keys, raw, where);
    const rope = read.rope_parameters;
    const usual = { ropeTheta: 1_000_000, headDim: 256 };
    const config = decoderConfig({ ...read, rope_parameters: rope?.full_attention }, where, usual);
    if (rope && read.rope_local_base_freq) {
      throw new Error(`${where}: rope_parameters: expected it alone, got rope_local_base_freq too; keep one form`);
    }
    const types = typesOf(read, where);
    if (read.sliding_window === null && types.includes('sliding_attention')) {
      throw new Error(`${where}: sliding_window: expected a number, as there are sliding layers, got null`);
    }
    const { ropeTheta, ropeScaling } = config;
    const full: LayerAttention = { ropeTheta, ropeScaling, slidingWindow: undefined };
    const sliding: LayerAttention = {
      ...rotaryKeys(rope?.sliding_attention, read.rope_local_base_freq ?? 10_000),
      slidingWindow: read.sliding_window ?? 4096,
    };
    return {
      ...config,
      layerAttention: types.map((type) => (type === 'full_attention' ? full : sliding)),
      attentionScale: (read.query_pre_attn_scalar ?? 256) ** -0.5,
      embeddingScale: Math.sqrt(config.hiddenSize),
      normOffset: 1,
      tieWordEmbeddings: config.tieWordEmbeddings ?? true,
      attentionBias: read.attention_bias ?? false,
    };
  },

  parameterShapes(config) {
    return stackShapes(config, (layer) => [
      ...normShape(config, `${layer}.input_layernorm`),
      ...attentionShapes(config, `${layer}.self_attn`, biased(config)),
      ...headNormShapes(config, `${layer}.self_attn`),
      ...normShape(config, `${layer}.post_attention_layernorm`),
      ...normShape(config, `${layer}.pre_feedforward_layernorm`),
      ...mlpShapes(config, `${layer}.mlp`),
      ...normShape(config, `${layer}.post_feedforward_layernorm`),
    ]);
  },

  forward(config, weight, inputs, cache, options) {
    return decoderStack(config, weight, inputs, cache, options, (x, layer, context) => {
      const attention = selfAttention(norm(x, weight, `${layer}.input_layernorm`, config), context, {
        ...attentionWeights(weight, `${layer}.self_attn`, biased(config)),
        ...headNorms(weight, `${layer}.self_attn`, config),
      });
      x = add(x, norm(attention, weight, `${layer}.post_attention_layernorm`, config));
      const mlp = gatedMlp(
        norm(x, weight, `${layer}.pre_feedforward_layernorm`, config),
        mlpWeights(weight, `${layer}.mlp`),
        geglu,
      );
      return add(x, norm(mlp, weight, `${layer}.post_feedforward_layernorm`, config));
    });
  },
};
