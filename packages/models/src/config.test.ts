import { expect, test } from 'vitest';
import { architectureOf } from './architectures.js';
import { llama } from './llama.js';

const config = {
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
};
const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const parse = (extra: object) => llama.parseConfig({ ...config, ...extra }, 'dir/config.json');

test('defaults are those of transformers', () => {
  expect(parse({ num_key_value_heads: undefined })).toMatchObject({
    numKeyValueHeads: 4,
    headDim: 4,
    ropeTheta: 10000,
    ropeScaling: undefined,
    tieWordEmbeddings: undefined,
    attentionBias: false,
  });
});

test('keys that change no number, and keys that are switched off, are accepted', () => {
  const extra = {
    architectures: ['LlamaForCausalLM'],
    torch_dtype: 'bfloat16',
    transformers_version: '4.45.0',
    _name_or_path: 'x',
    use_cache: true,
    bos_token_id: 1,
    eos_token_id: [2, 3],
    pretraining_tp: 1,
    quantization_config: null,
    is_llama_config: true,
    rope_interleaved: false,
    cache_implementation: 'hybrid',
    'transformers.js_config': { dtype: 'q4' },
    some_new_feature: false,
  };
  expect(parse(extra)).toEqual(parse({}));
});

test('rope scaling: three spellings of the same', () => {
  const want = {
    type: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  };
  const { rope_type, ...rest } = llama3;
  expect(parse({ rope_scaling: llama3, rope_theta: 5e5 })).toMatchObject({ ropeScaling: want, ropeTheta: 5e5 });
  expect(parse({ rope_scaling: { type: rope_type, ...rest } }).ropeScaling).toEqual(want);
  expect(parse({ rope_parameters: { ...llama3, rope_theta: 5e5 } })).toMatchObject({
    ropeScaling: want,
    ropeTheta: 5e5,
  });
  expect(parse({ rope_parameters: { rope_type: 'default', rope_theta: 7 } })).toMatchObject({
    ropeScaling: undefined,
    ropeTheta: 7,
  });
  expect(parse({ rope_parameters: { rope_type: 'default' }, rope_theta: 7 }).ropeTheta).toBe(7);
  expect(parse({ rope_parameters: { rope_type: 'default', rope_theta: 7 }, rope_theta: 7 }).ropeTheta).toBe(7);
});

test('rope scaling: linear', () => {
  const linear = { type: 'linear', factor: 4 };
  expect(parse({ rope_scaling: linear }).ropeScaling).toEqual(linear);
  expect(parse({ rope_parameters: { rope_type: 'linear', factor: 4, rope_theta: 7 } })).toMatchObject({
    ropeScaling: linear,
    ropeTheta: 7,
  });
});

test.each([
  ['hidden_act', { hidden_act: 'gelu' }, '"gelu"'],
  ['mlp_bias', { mlp_bias: true }, 'true'],
  ['attention_dropout', { attention_dropout: 0.1 }, '0.1'],
  ['partial_rotary_factor', { partial_rotary_factor: 0.5 }, '0.5'],
  ['sliding_window', { sliding_window: 4096 }, '4096'],
  ['final_logit_softcapping', { final_logit_softcapping: 30 }, '30'],
  ['quantization_config', { quantization_config: { bits: 4 } }, '{"bits":4}'],
  ['rope_scaling', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'llama3, got "yarn"'],
  ['rope_scaling', { rope_scaling: { type: 'dynamic', factor: 2 } }, '"dynamic"'],
  ['rope_scaling', { rope_scaling: { type: 'linear', factor: 0 } }, 'got 0'],
  ['rope_interleaved', { rope_interleaved: true }, 'true'],
  [
    'rope_parameters',
    { rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.5 } },
    'partial_rotary_factor',
  ],
  ['rope_parameters', { rope_parameters: { rope_type: 'default', rope_theta: 7 }, rope_theta: 8 }, 'keep one form'],
  ['rope_scaling', { rope_scaling: { ...llama3, factor: undefined } }, 'factor'],
  ['rope_scaling', { rope_scaling: { ...llama3, attention_factor: 2 } }, 'attention_factor'],
  ['rope_parameters', { rope_parameters: llama3, rope_scaling: llama3 }, 'keep one form'],
  ['vocab_size', { vocab_size: undefined }, 'got none'],
  ['hidden_size', { hidden_size: '16' }, '"16"'],
  ['num_key_value_heads', { num_key_value_heads: 3 }, 'got 3'],
  ['head_dim', { head_dim: 5 }, 'got 5'],
  ['num_hidden_layers', { num_hidden_layers: 1e9 }, 'got 1000000000'],
  ['head_dim', { hidden_size: 18 }, 'got 4.5'],
])('refused, naming the file, %s and what was found', (key, extra, found) => {
  const refused = () => parse(extra);
  expect(refused).toThrow(`dir/config.json: ${key}`);
  expect(refused).toThrow(found);
});

test('model_type: an unknown one lists those supported', () => {
  expect(architectureOf({ model_type: 'llama' })).toBe(llama);
  expect(() => architectureOf({ model_type: 'mamba' }, 'dir/config.json')).toThrow(
    'dir/config.json: model_type: expected one of llama, qwen2, qwen3, mistral, gemma3_text, got "mamba"',
  );
  expect(() => architectureOf({})).toThrow('got nothing');
  expect(() => architectureOf({ model_type: 'gemma3', text_config: { model_type: 'gemma3_text' } })).toThrow(
    'got "gemma3", which reads more than text (text_config); choose a model of text alone',
  );
});
