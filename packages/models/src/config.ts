// Reading config.json. A model that is computed a little differently from how it was trained is worse than an error, so
// every key must be one we compute with, one that is known to be harmless, or one that is switched off.
import type { RotaryScaling } from '@soft-tokens/tensor';
import { z } from 'zod';
import { show } from './files.js';

/** How a layer's attention sees positions. */
export interface LayerAttention {
  ropeTheta: number;
  /** Frequencies slowed for long contexts; `undefined` where the plain ones are used. */
  ropeScaling: RotaryScaling | undefined;
  /** A query at position p sees the keys of p - slidingWindow + 1 to p; all up to p where `undefined`. */
  slidingWindow: number | undefined;
}

/** What the decoders of this package have in common, in our names. */
export interface DecoderConfig extends LayerAttention {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  rmsNormEps: number;
  /** The attention of each layer, where layers differ; layers alike share one object. */
  layerAttention?: readonly LayerAttention[];
  /** What products of queries and keys are multiplied by; 1/√headDim where `undefined`. */
  attentionScale?: number;
  /** What rows of the embedding are multiplied by before the stack reads them; 1 where `undefined`. */
  embeddingScale?: number;
  /** What norms add to their stored weights: 1 where a checkpoint stores how far from 1 they are; else `undefined`. */
  normOffset?: number;
  /** Whether logits use the input embedding; `undefined` where the file does not say. */
  tieWordEmbeddings: boolean | undefined;
  /** Standard deviation of fresh weights. */
  initializerRange: number;
}

/** The JSON object of a config.json, as read. */
export type RawConfig = Record<string, unknown>;

export const size = z.number().int().positive();
export const factor = z.number().positive();
/** Layers are counted before weights are seen: a file that says a billion must not have its way. The deepest have 200. */
const layerCount = size.max(10_000);

/** A key of which only one value is supported; leaving it out means that value. */
export const only = <const T extends string | number | boolean>(value: T) => z.literal(value).nullish();

/** Keys of every kind of scaling: transformers 5 keeps them beside it. */
const ropeKeys = { rope_theta: factor.nullish(), partial_rotary_factor: only(1) };

const ropeScaling = z.discriminatedUnion('rope_type', [
  z.strictObject({ rope_type: z.literal('default'), ...ropeKeys }),
  z.strictObject({ rope_type: z.literal('linear'), ...ropeKeys, factor }),
  z.strictObject({
    rope_type: z.literal('llama3'),
    ...ropeKeys,
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: size,
  }),
]);

/** Before transformers 4.43 the kind of scaling was called `type`; some files say both. */
export const ropeObject = z
  .preprocess((value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { type, ...rest } = value as RawConfig;
    return { rope_type: type ?? 'default', ...rest };
  }, ropeScaling)
  .nullish();

/** The keys every decoder here reads, under the names of config.json. */
export const decoderKeys = {
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: layerCount,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  rms_norm_eps: factor,
  rope_theta: factor.nullish(),
  rope_scaling: ropeObject,
  /** transformers 5 puts `rope_theta` and the scaling together. */
  rope_parameters: ropeObject,
  tie_word_embeddings: z.boolean().nullish(),
  initializer_range: factor.nullish(),
  hidden_act: only('silu'),
  attention_dropout: only(0),
  partial_rotary_factor: only(1),
};

/** Keys that no number of the forward pass depends on. */
const harmless = new Set([
  'architectures',
  'bos_token_id',
  'cache_implementation', // how transformers keeps keys and values
  'dtype',
  'eos_token_id',
  'is_llama_config', // SmolLM's, as is `rope_interleaved`, which must be false
  'max_position_embeddings',
  'model_type',
  'pad_token_id',
  'pretraining_tp', // how transformers once split its products; the sums are the same
  'torch_dtype',
  'transformers.js_config',
  'transformers_version',
  'unk_token_id',
  'use_cache',
]);
const isHarmless = (key: string) => harmless.has(key) || key.startsWith('_') || key.startsWith('unsloth_');
const isOff = (value: unknown) => value === null || value === false;

/**
 * Checks a config.json against the keys an architecture reads. Throws naming the file and the key: for a value that is
 * missing, malformed or not supported, and for an unknown key, unless it is known to be harmless or is null or false.
 */
export function readConfig<S extends z.ZodRawShape>(shape: S, raw: RawConfig, where: string): z.output<z.ZodObject<S>> {
  const result = z.object(shape).safeParse(raw);
  if (!result.success) throw new Error(describeIssue(result.error, raw, where));
  for (const [key, value] of Object.entries(raw)) {
    if (Object.hasOwn(shape, key) || isHarmless(key) || isOff(value)) continue;
    throw new Error(
      `${where}: ${key}: expected no key that may change the mathematics unseen, got ${show(value)}; ` +
        'if it changes nothing, remove it from the file, otherwise this model is not supported',
    );
  }
  return result.data;
}

/**
 * Our names for the common keys; `where` is named in errors about how they fit together. A family's own defaults, for
 * files that leave out what transformers has a default for, come last.
 */
export function decoderConfig(
  keys: Omit<z.output<z.ZodObject<typeof decoderKeys>>, 'hidden_act'>,
  where: string,
  { ropeTheta = 10000, headDim: usualHeadDim }: { ropeTheta?: number; headDim?: number } = {},
): DecoderConfig {
  const numHeads = keys.num_attention_heads;
  const numKeyValueHeads = keys.num_key_value_heads ?? numHeads;
  if (numHeads % numKeyValueHeads !== 0) {
    throw new Error(
      `${where}: num_key_value_heads: expected a divisor of num_attention_heads ${numHeads}, got ${numKeyValueHeads}`,
    );
  }
  const headDim = keys.head_dim ?? usualHeadDim ?? keys.hidden_size / numHeads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw new Error(
      `${where}: head_dim: expected an even whole number (hidden_size / num_attention_heads where absent), got ${headDim}`,
    );
  }
  const { rope_parameters: parameters, rope_scaling: scaling, rope_theta: theta } = keys;
  if (parameters && (scaling || (theta ?? parameters.rope_theta) !== (parameters.rope_theta ?? theta))) {
    throw new Error(`${where}: rope_parameters: expected it alone, got rope_theta or rope_scaling too; keep one form`);
  }
  return {
    vocabSize: keys.vocab_size,
    hiddenSize: keys.hidden_size,
    intermediateSize: keys.intermediate_size,
    numLayers: keys.num_hidden_layers,
    numHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: keys.rms_norm_eps,
    ...rotaryKeys(parameters ?? scaling, theta ?? ropeTheta),
    slidingWindow: undefined,
    tieWordEmbeddings: keys.tie_word_embeddings ?? undefined,
    initializerRange: keys.initializer_range ?? 0.02,
  };
}

/** Our names for what a file says of rotary positions; `theta` where it does not say there. */
export function rotaryKeys(
  rope: z.output<typeof ropeObject>,
  theta: number,
): Pick<LayerAttention, 'ropeTheta' | 'ropeScaling'> {
  return { ropeTheta: rope?.rope_theta ?? theta, ropeScaling: rope ? scalingOf(rope) : undefined };
}

function scalingOf(rope: z.output<typeof ropeScaling>): RotaryScaling | undefined {
  switch (rope.rope_type) {
    case 'default':
      return undefined;
    case 'linear':
      return { type: 'linear', factor: rope.factor };
    case 'llama3':
      return {
        type: 'llama3',
        factor: rope.factor,
        lowFreqFactor: rope.low_freq_factor,
        highFreqFactor: rope.high_freq_factor,
        originalMaxPositionEmbeddings: rope.original_max_position_embeddings,
      };
  }
}

/** The first thing wrong, as `file: key: what was expected, got value`. */
function describeIssue(error: z.ZodError, raw: unknown, where: string): string {
  const issue = error.issues[0]!;
  const path = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  const at = (keys: readonly PropertyKey[]) =>
    keys.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], raw);
  const value = at(path);
  const key = path.join('.') || 'the file';
  if (issue.code === 'invalid_union') {
    const kinds = ropeScaling.options.map((option) => option.shape.rope_type.value).join(', ');
    const given = at(path.slice(0, -1)) as RawConfig | undefined; // the path ends with rope_type
    return `${where}: ${key}: expected one of ${kinds}, got ${show(given?.rope_type ?? given?.type)}; this model is not supported`;
  }
  if (value === undefined) return `${where}: ${key}: expected a value, got none; is this the model's own file?`;
  return `${where}: ${key}: ${lowerFirst(issue.message.replace(/^Invalid input: /, ''))}, got ${show(value)}; not supported`;
}

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
