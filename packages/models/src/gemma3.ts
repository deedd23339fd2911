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
import { requireUnbiased } from './ggufLayout.js';
import { shortestFloat32 } from './ggufModelKeys.js';
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
  const usual = (index: number) => ((index + 1) % (pattern ?? PATTERN) === 0 ? 'full_attention' : 'sliding_attention');
  return types ?? Array.from({ length: count }, (_, index) => usual(index));
}

/** Every sixth layer sees all positions, unless a file says otherwise. */
const PATTERN = 6;
const LOCAL_THETA = 10_000;

/** What llama.cpp scales queries for: the size of a head, but in the 27B model, which it tells by its 62 layers. */
const queryScalar = ({ numLayers, hiddenSize, numHeads, headDim }: Sizes) =>
  numLayers === 62 ? hiddenSize / numHeads : headDim;

type Sizes = Pick<DecoderConfig, 'numLayers' | 'hiddenSize' | 'numHeads' | 'headDim'>;

/**
 * Gemma 3: scaled embeddings, RMS norms before and after each part and of each query and key, layers that see few
 * positions between those that see all, a feed-forward network gated by GELU. The scale is √d in float32, as transformers
 * has it for float32 weights; for bfloat16 weights it rounds it to bfloat16, by up to 0.4 %.
 */
export const gemma3: Architecture<Gemma3Config> = {
  modelType: 'gemma3_text',

  gguf: {
    architecture: 'gemma3',
    className: 'Gemma3ForCausalLM',
    parts: {
      post_attention_layernorm: 'post_attention_norm',
      pre_feedforward_layernorm: 'ffn_norm',
      post_feedforward_layernorm: 'post_ffw_norm',
    },
    readConfig(keys, common) {
      const window = 'attention.sliding_window';
      const local = keys.number('rope.freq_base_swa');
      const sizes = common as Record<string, number>;
      return {
        hidden_activation: 'gelu_pytorch_tanh',
        sliding_window: keys.required(window, keys.count(window)),
        rope_local_base_freq: local === undefined ? LOCAL_THETA : shortestFloat32(local),
        query_pre_attn_scalar: queryScalar({
          numLayers: sizes.num_hidden_layers!,
          hiddenSize: sizes.hidden_size!,
          numHeads: sizes.num_attention_heads!,
          headDim: sizes.head_dim!,
        }),
      };
    },
    writeKeys(config) {
      const wrong = (key: string, expected: string, got: unknown) =>
        new Error(`saveGguf: ${key}: expected ${expected}, as llama.cpp computes Gemma 3, got ${got}; export it as hf`);
      const { layerAttention = [], attentionScale } = config;
      const isFull = layerAttention.map(({ slidingWindow }) => slidingWindow === undefined);
      const odd = isFull.findIndex((full, index) => full !== ((index + 1) % PATTERN === 0));
      if (odd >= 0)
        throw wrong(
          `layer_types: ${odd}`,
          `every ${PATTERN}th layer to see all positions`,
          layerTypes[Number(isFull[odd])],
        );
      const sliding = layerAttention[0]!;
      if (sliding.ropeTheta !== LOCAL_THETA || sliding.ropeScaling) {
        throw wrong('rope_local_base_freq', `${LOCAL_THETA} without scaling`, sliding.ropeTheta);
      }
      const scalar = queryScalar(config);
      if (Math.abs(attentionScale! * Math.sqrt(scalar) - 1) > 1e-6) {
        throw wrong('query_pre_attn_scalar', `${scalar}`, attentionScale! ** -2);
      }
      return {
        ...requireUnbiased(config),
        'attention.sliding_window': { type: 'uint32', value: sliding.slidingWindow! },
      };
    },
  },

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
      ...rotaryKeys(rope?.sliding_attention, read.rope_local_base_freq ?? LOCAL_THETA),
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
