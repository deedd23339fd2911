import { expect, test } from 'vitest';
import { drawnTokens, matrixSizes, stepFlops } from './flops.js';

const shape = { prompts: 2, samples: 3, promptTokens: 5, thoughtTokens: 4, answerTokens: 2 };

test('matrices are counted by where they are used, vectors are not', () => {
  const parameters = new Map([
    ['model.embed_tokens.weight', { shape: [11, 4] }],
    ['model.layers.0.input_layernorm.weight', { shape: [4] }],
    ['model.layers.0.self_attn.q_proj.weight', { shape: [4, 4] }],
    ['model.layers.0.self_attn.q_proj.bias', { shape: [4] }],
    ['model.layers.0.mlp.up_proj.weight', { shape: [6, 4] }],
    ['lm_head.weight', { shape: [11, 4] }],
  ]);
  expect(matrixSizes(parameters)).toEqual({ layers: 16 + 24, head: 44 });
  const adapters = new Map([
    ['base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight', { shape: [2, 4] }],
    ['base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight', { shape: [4, 2] }],
  ]);
  expect(matrixSizes(parameters, adapters)).toEqual({ layers: 16 + 24, head: 44, adapters: 16 });
  expect(() => matrixSizes(new Map())).toThrow('model.embed_tokens.weight');
});

test('a step worked by hand', () => {
  expect(drawnTokens({ ...shape, mode: 'hard' })).toBe(36);
  // Layers: 2 prompts of 5 positions, 6 sequences of 4 + 2 - 1. Head: 6 sequences of 6, for mixtures 4 more each.
  const layers = 10 + 30;
  expect(stepFlops({ layers: 100, head: 0 }, { ...shape, mode: 'hard' })).toBe(8 * 100 * layers);
  expect(stepFlops({ layers: 0, head: 7 }, { ...shape, mode: 'hard' })).toBe(8 * 7 * 36);
  expect(stepFlops({ layers: 100, head: 7 }, { ...shape, mode: 'soft' })).toBe(8 * (100 * layers + 7 * (36 + 24)));
  expect(stepFlops({ layers: 100, head: 7 }, { ...shape, mode: 'fuzzy' })).toBe(
    stepFlops({ layers: 100, head: 7 }, { ...shape, mode: 'soft' }),
  );
  // Frozen: forward in the rollout and in the update, backward to the inputs alone. Adapters: to themselves too.
  const frozen = 6 * (100 * layers + 7 * (36 + 24));
  expect(stepFlops({ layers: 100, head: 7, adapters: 5 }, { ...shape, mode: 'soft' })).toBe(frozen + 8 * 5 * layers);
});
