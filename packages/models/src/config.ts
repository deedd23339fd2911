// Reading config.json. A model that is computed a little differently from how it was trained is worse than an error, so
// every key must be one we compute with, one that is known to be harmless, or one that is switched off.
import type { Llama3Scaling } from '@soft-tokens/tensor';
import { z } from 'zod';

/** What the decoders of this package have in common, in our names. */
export interface DecoderConfig {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  rmsNormEps: number;
  ropeTheta: number;
  /** Frequencies slowed for long contexts; `undefined` where the plain ones are used. */
  ropeScaling: Llama3Scaling | undefined;
  /** Whether logits use the input embedding; `undefined` where the file does not say. */
  tieWordEmbeddings: boolean | undefined;
  /** Standard deviation of fresh weights. */
  initializerRange: number;
}

/** The JSON object of a config.json, as read. */
export type RawConfig = Record<string, unknown>;

const size = z.number().int().positive();
const factor = z.number().positive();

/** A key of which only one value is supported; leaving it out means that value. */
export const only = <const T extends string | number | boolean>(value: T) => z.literal(value).nullish();

const ropeScaling = z.discriminatedUnion('rope_type', [
  z.strictObject({ rope_type: z.literal('default'), rope_theta: factor.optional() }),
  z.strictObject({
    rope_type: z.literal('llama3'),
    rope_theta: factor.optional(),
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: size,
  }),
]);

/** Before transformers 4.43 the kind of scaling was called `type`. */
const ropeObject = z
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
  num_hidden_layers: size,
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
  'dtype',
  'eos_token_id',
  'max_position_embeddings',
  'model_type',
  'pad_token_id',
  'pretraining_tp', // how transformers once split its products; the sums are the same
  'torch_dtype',
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

/** Our names for the common keys; `where` is named in errors about how they fit together. */
export function decoderConfig(keys: z.output<z.ZodObject<typeof decoderKeys>>, where: string): DecoderConfig {
  const numHeads = keys.num_attention_heads;
  const numKeyValueHeads = keys.num_key_value_heads ?? numHeads;
  if (numHeads % numKeyValueHeads !== 0) {
    throw new Error(
      `${where}: num_key_value_heads: expected a divisor of num_attention_heads ${numHeads}, got ${numKeyValueHeads}`,
    );
  }
  const headDim = keys.head_dim ?? keys.hidden_size / numHeads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw new Error(
      `${where}: head_dim: expected an even whole number (hidden_size / num_attention_heads where absent), got ${headDim}`,
    );
  }
  if (keys.rope_parameters && (keys.rope_scaling || keys.rope_theta)) {
    throw new Error(`${where}: rope_parameters: expected it alone, got rope_theta or rope_scaling too; keep one form`);
  }
  const rope = keys.rope_parameters ?? keys.rope_scaling;
  return {
    vocabSize: keys.vocab_size,
    hiddenSize: keys.hidden_size,
    intermediateSize: keys.intermediate_size,
    numLayers: keys.num_hidden_layers,
    numHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: keys.rms_norm_eps,
    ropeTheta: keys.rope_parameters?.rope_theta ?? keys.rope_theta ?? 10000,
    ropeScaling:
      rope?.rope_type === 'llama3'
        ? {
            type: 'llama3',
            factor: rope.factor,
            lowFreqFactor: rope.low_freq_factor,
            highFreqFactor: rope.high_freq_factor,
            originalMaxPositionEmbeddings: rope.original_max_position_embeddings,
          }
        : undefined,
    tieWordEmbeddings: keys.tie_word_embeddings ?? undefined,
    initializerRange: keys.initializer_range ?? 0.02,
  };
}

/** The first thing wrong, as `file: key: what was expected, got value`. */
function describeIssue(error: z.ZodError, raw: unknown, where: string): string {
  const issue = error.issues[0]!;
  const path = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  let value: unknown = raw;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  const key = path.join('.') || 'the file';
  if (issue.code === 'invalid_union') {
    const kinds = ropeScaling.options.map((option) => option.shape.rope_type.value).join(', ');
    const scaling = raw as { rope_scaling?: RawConfig; rope_parameters?: RawConfig };
    const given = scaling.rope_scaling ?? scaling.rope_parameters;
    return `${where}: ${key}: expected one of ${kinds}, got ${show(given?.rope_type ?? given?.type)}; this model is not supported`;
  }
  if (value === undefined) return `${where}: ${key}: expected a value, got none; is this the model's own file?`;
  return `${where}: ${key}: ${lowerFirst(issue.message.replace(/^Invalid input: /, ''))}, got ${show(value)}; not supported`;
}

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
