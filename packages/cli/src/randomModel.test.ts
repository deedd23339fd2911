import { expect, test } from 'vitest';
import { parseRandomModel } from './randomModel.js';

test('every size is set or has its default', () => {
  expect(parseRandomModel('llama')).toEqual({
    model_type: 'llama',
    hidden_size: 576,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    intermediate_size: 1536,
    vocab_size: 49152,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  });
  expect(parseRandomModel('qwen2:hidden=32, layers=1,heads=4,kv=2,intermediate=48,vocab=64')).toMatchObject({
    model_type: 'qwen2',
    hidden_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 48,
    vocab_size: 64,
  });
});

test.each(['qwen2', 'qwen3', 'mistral', 'gemma3_text'])('%s: its own keys have the values of transformers', (name) => {
  expect(parseRandomModel(`${name}:hidden=32,layers=1,heads=4,kv=2`)).toMatchObject({ model_type: name });
});

test.each([
  ['lama', 'Unknown architecture "lama". Did you mean llama?'],
  ['mamba', 'Unknown architecture "mamba". Allowed: llama, qwen2, qwen3, mistral, gemma3_text.'],
  ['llama:hiden=32', 'Unknown key "hiden". Did you mean hidden?'],
  ['llama:depth=3', 'Unknown key "depth". Allowed: hidden, layers, heads, kv, intermediate, vocab.'],
  ['llama:', 'Unknown key "". Allowed: hidden'],
  ['llama:layers', 'Expected layers=N with a whole number N > 0, got layers.'],
  ['llama:layers=0', 'got layers=0.'],
  ['llama:layers=1.5', 'got layers=1.5.'],
  ['llama:layers=1=2', 'got layers=1=2.'],
  ['llama:heads=8', 'num_key_value_heads: expected a divisor of num_attention_heads 8, got 3'],
  ['llama:hidden=32', 'head_dim: expected an even whole number'],
])('%s is refused', (text, message) => {
  expect(() => parseRandomModel(text)).toThrow(message);
});
