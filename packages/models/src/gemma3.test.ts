import { readFile } from 'node:fs/promises';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import { readJson } from './files.js';
import { gemma3 } from './gemma3.js';
import { loadModel } from './huggingFace.js';
import { embeddingRms, noiseScale } from './noiseScale.js';
import { fixture, testParity } from './test/parity.js';

testParity('gemma3', 'gemma3-linear');

const parse = async (extra: object, name = 'gemma3') =>
  gemma3.parseConfig({ ...(await readJson(`${fixture(name)}/config.json`)), ...extra }, 'config.json');

test('layers are listed, or every sixth sees all positions, or every n-th', async () => {
  const windows = async (extra: object) =>
    (await parse(extra)).layerAttention!.map(({ slidingWindow }) => slidingWindow);
  expect(await windows({})).toEqual([4, undefined, 4]);
  expect(await windows({ sliding_window_pattern: undefined, num_hidden_layers: 7 })).toEqual([
    ...new Array(5).fill(4),
    undefined,
    4,
  ]);
  const layer_types = ['full_attention', 'full_attention', 'sliding_attention'];
  expect(await windows({ layer_types })).toEqual([undefined, undefined, 4]);
  expect(await windows({ sliding_window: undefined })).toEqual([4096, undefined, 4096]);
  expect(await windows({ sliding_window: null, sliding_window_pattern: 1 })).toEqual([undefined, undefined, undefined]);
});

test('positions: two spellings of the same, and the defaults of transformers', async () => {
  const [sliding, full] = (await parse({})).layerAttention!;
  expect(sliding).toEqual({ ropeTheta: 50, ropeScaling: undefined, slidingWindow: 4 });
  expect(full).toMatchObject({ ropeTheta: 1000, ropeScaling: undefined, slidingWindow: undefined });

  const nested = await parse({}, 'gemma3-linear');
  const scaled = { ropeTheta: 1000, ropeScaling: { type: 'linear', factor: 8 } };
  expect(nested.layerAttention).toMatchObject([scaled, { ropeTheta: 10, ropeScaling: undefined }]);
  const flat = { rope_parameters: undefined, rope_theta: 1000, rope_local_base_freq: 10 };
  const rope_scaling = { rope_type: 'linear', factor: 8 };
  expect(await parse({ ...flat, rope_scaling }, 'gemma3-linear')).toEqual(nested);

  const silent = await parse({ rope_theta: undefined, rope_local_base_freq: undefined });
  expect(silent.layerAttention).toMatchObject([{ ropeTheta: 1e4 }, { ropeTheta: 1e6 }, { ropeTheta: 1e4 }]);
});

test.each([
  ['attn_logit_softcapping', { attn_logit_softcapping: 50 }, '50'],
  ['final_logit_softcapping', { final_logit_softcapping: 30 }, '30'],
  ['use_bidirectional_attention', { use_bidirectional_attention: true }, 'true'],
  ['hidden_activation', { hidden_activation: 'gelu' }, '"gelu"'],
  ['hidden_act', { hidden_act: 'silu' }, '"silu"'],
  ['layer_types', { layer_types: ['full_attention'] }, 'num_hidden_layers 3 of them, got 1'],
  ['layer_types.1', { layer_types: ['full_attention', 'linear_attention', 'full_attention'] }, '"linear_attention"'],
  ['sliding_window', { sliding_window: null }, 'got null'],
  ['rope_parameters', { rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }, 'rope_type'],
  ['rope_parameters', { rope_parameters: { full_attention: { rope_theta: 7 } } }, 'keep one form'],
  ['rope_parameters', { rope_theta: undefined, rope_parameters: {} }, 'rope_local_base_freq'],
  [
    'rope_parameters.full_attention',
    { rope_parameters: { full_attention: { rope_type: 'yarn', factor: 2 } } },
    'got "yarn"',
  ],
  ['rope_scaling', { rope_scaling: { rope_type: 'dynamic', factor: 2 } }, 'got "dynamic"'],
])('refused, naming the file, %s and what was found', async (key, extra, found) => {
  await expect(parse(extra)).rejects.toThrow(`config.json: ${key}`);
  await expect(parse(extra)).rejects.toThrow(found);
});

eachEngine(
  useEngine,
  () => {
    test('noise is measured in the embeddings that the stack is fed: σ = factor √d rms(E)', async () => {
      const { rms, modes } = JSON.parse(await readFile(`${fixture('gemma3')}/expected.json`, 'utf8'));
      const model = await loadModel(fixture('gemma3'));
      const E = model.inputEmbedding.dataSync<'float32'>();
      const plain = Math.sqrt(E.reduce((sum, x) => sum + x * x, 0) / E.length);
      expect(embeddingRms(model)).toBeCloseTo(Math.sqrt(12) * plain, 10);
      expect(embeddingRms(model)).toBeCloseTo(rms, 7); // PyTorch's
      expect(noiseScale(model)).toBeCloseTo(modes.soft.sigma, 7);
      expect(noiseScale(model, 0.33, 'row')).toBeCloseTo(0.33 * 12 * plain, 10);
      model.dispose();
    });
  },
  enginesUnderTest,
);
