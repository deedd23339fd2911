// A GGUF file's metadata as a config.json, and back.
import { type GgufValue, type Llama3Scaling, rotaryFrequencies } from '@soft-tokens/tensor';
import type { Architecture } from './architecture.js';
import type { DecoderConfig, RawConfig } from './config.js';
import { type ModelKeys, shortestFloat32 } from './ggufModelKeys.js';

/** The factors that Llama 3's scaling divides the frequencies by stand in a file as a tensor of this name, `[D/2]`. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** Keys that say nothing of the mathematics. */
const IGNORED = [
  'vocab_size',
  'tensor_data_layout',
  'expert_used_count',
  'rope.scaling.finetuned',
  'rope.scaling.original_context_length',
];

/** Keys that may only say what every model here does. */
const OFF = ['expert_count', 'final_logit_softcapping', 'attn_logit_softcapping'];

/**
 * The config.json that says what a GGUF file's metadata say.
 *
 * - `has`: whether the file has a tensor; `vocabSize`: rows of its embedding
 * - `ropeFactors`: the values of `ROPE_FACTORS`, where the file has them
 *
 * @throws Error naming the file and the key for what is missing, malformed, or unknown in the architecture's keys.
 */
export function configFromGguf(
  { modelType, gguf }: Architecture,
  keys: ModelKeys,
  {
    has,
    vocabSize,
    ropeFactors,
  }: { has: (tensor: string) => boolean; vocabSize: number; ropeFactors: Float32Array | undefined },
): RawConfig {
  const count = (key: string) => keys.required(key, keys.count(key));
  const heads = count('attention.head_count');
  const hiddenSize = count('embedding_length');
  const headDim = keys.count('attention.key_length') ?? keys.count('rope.dimension_count') ?? hiddenSize / heads;
  for (const key of ['attention.key_length', 'attention.value_length', 'rope.dimension_count']) keys.only(key, headDim);
  keys.ignore(...IGNORED);
  for (const key of OFF) keys.only(key, 0);
  keys.only('rope.scaling.attn_factor', 1);
  const epsilon = 'attention.layer_norm_rms_epsilon';
  const theta = shortestFloat32(keys.number('rope.freq_base') ?? 10000);

  const common: RawConfig = {
    architectures: gguf && [gguf.className],
    model_type: modelType,
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: count('feed_forward_length'),
    num_hidden_layers: count('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: keys.count('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    rms_norm_eps: shortestFloat32(keys.required(epsilon, keys.number(epsilon))),
    rope_theta: theta,
    rope_scaling: ropeScaling(keys, { theta, headDim, factors: ropeFactors }),
    max_position_embeddings: keys.count('context_length'),
    tie_word_embeddings: !has('output.weight'),
    torch_dtype: 'float32',
  };
  const config = { ...common, ...gguf?.readConfig?.(keys, common, has) };
  keys.requireAllAsked();
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

/** `rope_scaling` of a file. What the family makes of it, its `parseConfig` says. */
function ropeScaling(
  keys: ModelKeys,
  { theta, headDim, factors }: { theta: number; headDim: number; factors: Float32Array | undefined },
): RawConfig | undefined {
  const type = keys.text('rope.scaling.type') ?? 'none';
  const factor = keys.number('rope.scaling.factor');
  if (factors) return llama3Scaling(factors, { theta, headDim, where: keys.where });
  if (type === 'none') return undefined;
  return { rope_type: type, factor: factor === undefined ? undefined : shortestFloat32(factor) };
}

/**
 * Llama 3's scaling, whose factors a file holds one by one: `factor` is the largest of them; where the blend begins and
 * ends, and for which context, has been the same for all models of the family.
 */
function llama3Scaling(
  factors: Float32Array,
  { theta, headDim, where }: { theta: number; headDim: number; where: string },
): RawConfig {
  const scaling: Llama3Scaling = {
    type: 'llama3',
    factor: shortestFloat32(factors.reduce((most, factor) => Math.max(most, factor), 0)),
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  };
  // Their number first: a head's size is a number in the file, the factors are there.
  const expected = factors.length === headDim / 2 ? rotaryFactors({ headDim, theta, scaling }) : undefined;
  if (!expected || !factors.every((x, i) => Math.abs(x / expected[i]! - 1) <= 1e-4)) {
    throw new Error(
      `${where}: ${ROPE_FACTORS}: expected the factors of Llama 3's rope scaling, got others; this model is not supported`,
    );
  }
  return {
    rope_type: 'llama3',
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
  };
}

/** What each rotary frequency is divided by: `[D/2]`. */
export function rotaryFactors(options: { headDim: number; theta: number; scaling: Llama3Scaling }): Float32Array {
  const scaled = rotaryFrequencies(options);
  const { headDim, theta } = options;
  return Float32Array.from(rotaryFrequencies({ headDim, theta }), (plain, i) => plain / scaled[i]!);
}

/** Number formats of a file's matrices, with what `general.file_type` calls them. */
export const fileTypes = { F32: 0, F16: 1, Q8_0: 7 } as const;

/** The context that a file names where config.json does not. */
const USUAL_CONTEXT = 2048;

/**
 * A model's metadata, without those of its tokenizer.
 *
 * A window of all layers, which llama.cpp has not for these families, becomes the context: within it both compute the
 * same.
 *
 * @throws Error for a family that GGUF has no place for, and naming the key for what llama.cpp would compute otherwise.
 */
export function metadataOf(
  { gguf, modelType }: Architecture,
  settings: DecoderConfig,
  { max_position_embeddings: positions }: RawConfig,
  { name, dtype }: { name: string; dtype: keyof typeof fileTypes },
): Map<string, GgufValue> {
  if (!gguf)
    throw new Error(`saveGguf: expected a family that GGUF has a place for, got ${modelType}; export it as hf`);
  const count = (value: number): GgufValue => ({ type: 'uint32', value });
  const number = (value: number): GgufValue => ({ type: 'float32', value });
  const text = (value: string): GgufValue => ({ type: 'string', value });
  const context = typeof positions === 'number' && positions > 0 ? positions : USUAL_CONTEXT;
  const { ropeScaling: scaling } = settings;
  if (scaling?.type === 'llama3' && gguf.architecture !== 'llama') {
    const expected = `a kind that llama.cpp knows for ${modelType}, linear or none`;
    throw new Error(`saveGguf: rope_scaling.rope_type: expected ${expected}, got llama3; export it as hf`);
  }
  const keys: Record<string, GgufValue> = {
    vocab_size: count(settings.vocabSize),
    context_length: count(Math.min(context, settings.slidingWindow ?? context)),
    embedding_length: count(settings.hiddenSize),
    feed_forward_length: count(settings.intermediateSize),
    block_count: count(settings.numLayers),
    'attention.head_count': count(settings.numHeads),
    'attention.head_count_kv': count(settings.numKeyValueHeads),
    'attention.key_length': count(settings.headDim),
    'attention.value_length': count(settings.headDim),
    'attention.layer_norm_rms_epsilon': number(settings.rmsNormEps),
    'rope.dimension_count': count(settings.headDim),
    'rope.freq_base': number(settings.ropeTheta),
    ...(scaling?.type === 'linear' && {
      'rope.scaling.type': text('linear'),
      'rope.scaling.factor': number(scaling.factor),
    }),
    ...gguf.writeKeys?.(settings),
  };
  return new Map([
    ['general.architecture', text(gguf.architecture)],
    ['general.type', text('model')],
    ['general.name', text(name)],
    ['general.file_type', count(fileTypes[dtype])],
    ['general.quantization_version', count(2)],
    ...Object.entries(keys).map(([key, value]): [string, GgufValue] => [`${gguf.architecture}.${key}`, value]),
  ]);
}
