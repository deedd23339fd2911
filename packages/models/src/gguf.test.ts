// Files written by gguf-py (reference/gguf_model_fixtures.py) hold the models of Hugging Face directories beside them.
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type GgufTensor, type GgufValue, readGguf, readGgufHeader, useEngine, writeGguf } from '@soft-tokens/tensor';
import { expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { architectureOf } from './architectures.js';
import { type CausalLM, createCausalLM, initialWeights } from './causalLM.js';
import type { RawConfig } from './config.js';
import { gemma3 } from './gemma3.js';
import { openGgufCheckpoint, saveGguf } from './gguf.js';
import { rotaryFactors } from './ggufConfig.js';
import { reorderRotaryRows } from './ggufLayout.js';
import { shortestFloat32 } from './ggufModelKeys.js';
import { loadModel, loadModelDirectory, modelParameters, saveModel } from './huggingFace.js';
import { llama } from './llama.js';
import { withLora } from './lora.js';
import { embedded, fixture } from './test/parity.js';
import { tinyModelDirectory } from './tiny.js';

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  await useEngine('cpu');
  folder = await mkdtemp(join(tmpdir(), 'soft-tokens-gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

const small = (name: string) => fileURLToPath(new URL(`./test/__fixtures__/gguf/${name}`, import.meta.url));
const directories: Record<string, string> = {
  ...Object.fromEntries(
    ['llama-tied', 'llama-untied-gqa', 'qwen2-tied', 'qwen2-untied-gqa'].map((name) => [name, fixture(name)]),
  ),
  qwen3: small('qwen3'),
  gemma3: small('gemma3'),
};
const names = Object.keys(directories);
const ggufOf = (name: string) => join(directories[name]!, 'model.gguf');

function expectSameParameters(got: CausalLM, want: CausalLM): void {
  expect([...got.parameters.keys()].sort()).toEqual([...want.parameters.keys()].sort());
  for (const [name, variable] of want.parameters) {
    expect(got.parameters.get(name)!.shape, name).toEqual(variable.shape);
    expect(got.parameters.get(name)!.dataSync(), name).toEqual(variable.dataSync());
  }
}

/** What a configuration means, but for what GGUF has no place for. */
function meaning(raw: RawConfig): object {
  return { ...architectureOf(raw).parseConfig(raw, 'config'), initializerRange: 0 };
}

const rawConfig = (name: string) =>
  JSON.parse(readFileSync(join(directories[name]!, 'config.json'), 'utf8')) as RawConfig;

describe('a file of gguf-py', () => {
  test.each(names)('%s: the weights are those of the Hugging Face directory', async (name) => {
    const [got, want] = [await loadModel(ggufOf(name)), await loadModel(directories[name]!)];
    expect(got.modelType).toBe(want.modelType);
    expectSameParameters(got, want);
    tf.dispose([got, want].flatMap(({ parameters }) => [...parameters.values()]));
  });

  test.each(names)('%s: the metadata say what config.json does', async (name) => {
    const want = rawConfig(name);
    const { config } = await openGgufCheckpoint(ggufOf(name));
    expect(config.model_type).toBe(want.model_type);
    expect(meaning(config)).toEqual(meaning({ tie_word_embeddings: config.tie_word_embeddings, ...want }));
    expect(config.max_position_embeddings).toBe(want.max_position_embeddings);
  });

  test('its parameters are told by the header alone', async () => {
    const shapes = await modelParameters(ggufOf('llama-tied'));
    expect(shapes).toEqual(await modelParameters(fixture('llama-tied')));
  });
});

describe('saveGguf', () => {
  test.each(names)('%s in F32, read again, is the same model', async (name) => {
    const model = await loadModel(directories[name]!);
    await saveGguf(model, at(`${name}.gguf`), { from: ggufOf(name) });
    const again = await loadModel(at(`${name}.gguf`));
    expectSameParameters(again, model);
    expect(meaning(again.config)).toEqual(meaning(model.config));
    model.dispose();
    again.dispose();
  });

  test('the file is that of gguf-py, tensor by tensor', async () => {
    for (const name of names) {
      const [got, want] = [await readGguf(at(`${name}.gguf`)), await readGguf(ggufOf(name))];
      expect(Object.keys(got.tensors).sort()).toEqual(Object.keys(want.tensors).sort());
      for (const [tensor, { shape, values }] of Object.entries(want.tensors)) {
        expect([tensor, got.tensors[tensor]]).toEqual([tensor, { shape, values }]);
      }
    }
  });

  test('the tiny model comes back with tokenizer, chat template and noise scale; as a directory too', async () => {
    const { model, tokenizer, embeddingRms } = await loadModelDirectory(tinyModelDirectory);
    await saveGguf(model, at('tiny.gguf'), { from: tinyModelDirectory, embeddingRms: 0.125 });
    const again = await loadModelDirectory(at('tiny.gguf'));
    expectSameParameters(again.model, model);
    expect(again.embeddingRms).toBe(0.125);
    const text = 'Mia has 7 apples.\n\nShe buys 5 more: 12.';
    expect(again.tokenizer.promptIds(text)).toEqual(tokenizer.promptIds(text));
    expect(new Set(again.tokenizer.endIds)).toEqual(new Set(tokenizer.endIds));

    await saveModel(again.model, at('tiny'), { from: at('tiny.gguf') });
    const directory = await loadModelDirectory(at('tiny'));
    expectSameParameters(directory.model, model);
    expect(directory.embeddingRms).toBe(embeddingRms);
    expect(directory.tokenizer.promptIds(text)).toEqual(tokenizer.promptIds(text));
    expect(directory.tokenizer.endIds).toEqual(again.tokenizer.endIds);
    for (const { model: loaded } of [again, directory]) loaded.dispose();
    model.dispose();
  });

  test('F16 and Q8_0 are of the matrices alone, and near; a row that Q8_0 has no blocks for is F16', async () => {
    const model = await loadModel(tinyModelDirectory);
    const ids = [1, 7, 30, 12, 99];
    const logits = (of: CausalLM) => tf.tidy(() => of.head.logits(of.forward(embedded(of, ids))).dataSync());
    const want = logits(model);
    for (const [dtype, abs] of [
      ['F16', 0.05],
      ['Q8_0', 0.5],
    ] as const) {
      await saveGguf(model, at(`${dtype}.gguf`), { from: tinyModelDirectory, dtype });
      const { tensors, metadata } = await readGgufHeader(at(`${dtype}.gguf`));
      expect(new Set(tensors.filter(({ shape }) => shape.length === 2).map(({ type }) => type))).toEqual(
        new Set([dtype]),
      );
      expect(new Set(tensors.filter(({ shape }) => shape.length === 1).map(({ type }) => type))).toEqual(
        new Set(['F32']),
      );
      expect(metadata.get('general.file_type')!.value).toBe(dtype === 'F16' ? 1 : 7);
      const again = await loadModel(at(`${dtype}.gguf`));
      expectClose(logits(again), want, { rel: 0, abs });
      expect(logits(again)).not.toEqual(want);
      again.dispose();
    }
    model.dispose();
    const narrow = await loadModel(fixture('llama-tied'));
    await saveGguf(narrow, at('narrow.gguf'), { from: ggufOf('llama-tied'), dtype: 'Q8_0' });
    const { tensors } = await readGgufHeader(at('narrow.gguf'));
    expect(tensors.find(({ name }) => name === 'blk.0.attn_q.weight')!.type).toBe('F16');
    narrow.dispose();
  });

  test("Llama 3's scaling goes out as factors and comes back as itself; another blend is refused", async () => {
    const scaling = { factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    const config = { ...rawConfig('llama-tied'), head_dim: 64, rope_theta: 500000, max_position_embeddings: 131072 };
    const raw = { ...config, rope_scaling: { rope_type: 'llama3', ...scaling } };
    const model = createCausalLM(llama, raw, initialWeights(llama, raw, 1));
    await saveGguf(model, at('llama3.gguf'), { from: ggufOf('llama-tied') });
    const { tensors } = await readGguf(at('llama3.gguf'));
    const factors = tensors['rope_freqs.weight']!.values;
    expect([factors[0], factors.at(-1)]).toEqual([1, 32]);
    expect(new Set(factors).size).toBeGreaterThan(3); // some between
    expect((await openGgufCheckpoint(at('llama3.gguf'))).config.rope_scaling).toEqual(raw.rope_scaling);
    model.dispose();
    // Of this fixture, high_freq_factor is 3: the file does not say so.
    await expect(loadModel(join(fixture('llama3-rope'), 'model.gguf'))).rejects.toThrow(
      'rope_freqs.weight: expected the factors of',
    );
  });

  test("Llama 3's factors are those that gguf-py was given", async () => {
    const { tensors } = await readGguf(join(fixture('llama3-rope'), 'model.gguf'));
    const factors = rotaryFactors({
      headDim: 8,
      theta: 100,
      scaling: { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 3, originalMaxPositionEmbeddings: 24 },
    });
    expectClose(factors, tensors['rope_freqs.weight']!.values, { rel: 1e-6 });
  });

  test("Llama 3's scaling of another family, which llama.cpp has no factors for, is refused", async () => {
    const scaling = { factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    const raw = { ...rawConfig('qwen2-tied'), rope_scaling: { rope_type: 'llama3', ...scaling } };
    const model = createCausalLM(architectureOf(raw), raw, initialWeights(architectureOf(raw), raw, 1));
    await expect(saveGguf(model, at('qwen2-llama3.gguf'), { from: ggufOf('qwen2-tied') })).rejects.toThrow(
      'rope_scaling.rope_type: expected a kind that llama.cpp knows for qwen2, linear or none, got llama3',
    );
    model.dispose();
  });

  test('a window of all layers becomes the context', async () => {
    const raw = { ...rawConfig('llama-tied'), model_type: 'mistral', sliding_window: 17 };
    delete (raw as RawConfig).attention_bias;
    delete (raw as RawConfig).mlp_bias;
    const model = createCausalLM(architectureOf(raw), raw, initialWeights(architectureOf(raw), raw, 1));
    await saveGguf(model, at('mistral.gguf'), { from: ggufOf('llama-tied') });
    expect((await readGgufHeader(at('mistral.gguf'))).metadata.get('llama.context_length')!.value).toBe(17);
    model.dispose();
  });

  test.each([
    [{ layer_types: Array(7).fill('full_attention') }, /layer_types: 0: expected every 6th layer/],
    [{ rope_local_base_freq: 20000 }, /rope_local_base_freq: expected 10000 without scaling/],
    [{ query_pre_attn_scalar: 5 }, /query_pre_attn_scalar: expected 4, as llama.cpp computes Gemma 3, got 5/],
    [{ attention_bias: true }, /attention_bias: expected false/],
  ])('what llama.cpp would compute otherwise is refused: %j', async (keys, message) => {
    const raw = { ...rawConfig('gemma3'), ...keys };
    const model = createCausalLM(gemma3, raw, initialWeights(gemma3, raw, 1));
    await expect(saveGguf(model, at('refused.gguf'), { from: ggufOf('gemma3') })).rejects.toThrow(message);
    expect((await readdir(folder)).filter((name) => name.includes('refused'))).toEqual([]);
    model.dispose();
  });

  test('a model with adapters is refused', async () => {
    const base = await loadModel(fixture('llama-tied'));
    const model = withLora(base, { r: 1, alpha: 1, target: ['q_proj'], seed: 1 });
    await expect(saveGguf(model, at('lora.gguf'), { from: ggufOf('llama-tied') })).rejects.toThrow(TypeError);
    model.dispose();
    base.dispose();
  });
});

describe('from outside', () => {
  const tensorsOf = async (name: string) => {
    const { header, tensors } = await readGguf(ggufOf(name));
    const given: Record<string, GgufTensor> = {};
    for (const [key, { shape, values }] of Object.entries(tensors)) given[key] = { shape, values, type: 'F32' };
    return { metadata: new Map(header.metadata), tensors: given };
  };
  const number = (value: number): GgufValue => ({ type: 'uint32', value });
  const text = (value: string): GgufValue => ({ type: 'string', value });

  test.each<[string, (metadata: Map<string, GgufValue>) => void, string]>([
    [
      'an unknown family',
      (m) => m.set('general.architecture', text('mamba')),
      'general.architecture: expected one of llama,',
    ],
    [
      'a family with a long name',
      (m) => m.set('general.architecture', text('x'.repeat(1e6))),
      `got "${'x'.repeat(76)}...`,
    ],
    ['no family', (m) => m.delete('general.architecture'), 'general.architecture: expected a name, got none'],
    ['one part of several', (m) => m.set('split.count', number(3)), 'expected a whole model, got one of 3 parts; join'],
    [
      'a key that may change the mathematics',
      (m) => m.set('llama.logit_scale', number(2)),
      'llama.logit_scale: expected no key that may change the mathematics unseen, got 2',
    ],
    ['experts', (m) => m.set('llama.expert_count', number(8)), 'llama.expert_count: expected 0 or no such key, got 8'],
    ['a missing size', (m) => m.delete('llama.block_count'), 'llama.block_count: expected a value, got none'],
    [
      'a size that is a text',
      (m) => m.set('llama.block_count', text('2')),
      'llama.block_count: expected a whole number > 0',
    ],
    [
      'a rotary embedding of part of a head',
      (m) => m.set('llama.rope.dimension_count', number(2)),
      'llama.rope.dimension_count: expected',
    ],
    [
      'another scaling',
      (m) => m.set('llama.rope.scaling.type', text('yarn')),
      'rope_scaling.rope_type: expected one of',
    ],
    ['a layer less than there is', (m) => m.set('llama.block_count', number(1)), 'expected no such tensor'],
    ['a layer more than there is', (m) => m.set('llama.block_count', number(3)), 'expected a tensor model.layers.2'],
    ['another size', (m) => m.set('llama.feed_forward_length', number(40)), 'expected shape [40,'],
    [
      'layers without end',
      (m) => m.set('llama.block_count', number(2 ** 32 - 1)),
      'num_hidden_layers: too big: expected number to be <=10000, got 4294967295',
    ],
  ])('%s: an error that names it', async (_, change, message) => {
    const { metadata, tensors } = await tensorsOf('llama-tied');
    change(metadata);
    await writeGguf(at('changed.gguf'), { metadata, tensors });
    await expect(loadModel(at('changed.gguf'))).rejects.toThrow(message);
    await expect(loadModel(at('changed.gguf'))).rejects.toThrow(at('changed.gguf'));
  });

  test('weights that are no numbers, and a tensor that belongs to nothing, are errors that name them; none is left', async () => {
    const before = tf.memory().numTensors;
    const { metadata, tensors } = await tensorsOf('llama-tied');
    const down = tensors['blk.1.ffn_down.weight']!;
    const values = Float32Array.from(down.values as Float32Array).fill(Number.NaN, 5, 6);
    const nan = { ...tensors, 'blk.1.ffn_down.weight': { ...down, values } };
    await writeGguf(at('nan.gguf'), { metadata, tensors: nan });
    await expect(loadModel(at('nan.gguf'))).rejects.toThrow(
      'model.layers.1.mlp.down_proj.weight: expected finite weights, got NaN at element 5',
    );
    await writeGguf(at('more.gguf'), { metadata, tensors: { ...tensors, 'blk.0.ffn_gate_inp.weight': down } });
    await expect(loadModel(at('more.gguf'))).rejects.toThrow('blk.0.ffn_gate_inp.weight: expected no such tensor');
    expect(tf.memory().numTensors).toBe(before);
  });

  test('a head of any size is not believed before there are as many rotary factors', async () => {
    const { metadata, tensors } = await tensorsOf('llama-tied');
    for (const key of ['key_length', 'value_length']) metadata.set(`llama.attention.${key}`, number(2 ** 32 - 2));
    const factors = { shape: [2], type: 'F32', values: Float32Array.of(1, 8) } as const;
    await writeGguf(at('heads.gguf'), { metadata, tensors: { ...tensors, 'rope_freqs.weight': factors } });
    await expect(loadModel(at('heads.gguf'))).rejects.toThrow('heads.gguf: rope_freqs.weight: expected the factors of');
    const many = { ...factors, shape: [30_000], values: new Float32Array(30_000) };
    await writeGguf(at('heads.gguf'), { metadata, tensors: { ...tensors, 'rope_freqs.weight': many } });
    await expect(loadModel(at('heads.gguf'))).rejects.toThrow("the factors of a head's frequencies, got [30000]");
  });

  test('a file that is cut, and one that is none', async () => {
    await writeFile(at('cut.gguf'), (await readFile(ggufOf('llama-tied'))).subarray(0, -100));
    await expect(loadModel(at('cut.gguf'))).rejects.toThrow('cut.gguf');
    await copyFile(join(fixture('llama-tied'), 'config.json'), at('none.gguf'));
    await expect(loadModel(at('none.gguf'))).rejects.toThrow('none.gguf');
  });
});

test('rotary rows: pairs and halves are inverses, and pairs stand side by side', () => {
  const rows = Float32Array.from({ length: 16 }, (_, i) => i); // two heads of 4 rows, 2 wide
  const pairs = reorderRotaryRows(rows, { rows: 8, headDim: 4, to: 'pairs' });
  expect([...pairs]).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
  expect(reorderRotaryRows(pairs, { rows: 8, headDim: 4, to: 'halves' })).toEqual(rows);
});

test('the shortest number of a float32', () => {
  expect([Math.fround(1e-5), Math.fround(1e-6), 500000, Math.fround(0.1), 1 / 3].map(shortestFloat32)).toEqual([
    1e-5, 1e-6, 500000, 0.1, 0.33333333,
  ]);
});
