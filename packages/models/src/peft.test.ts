// Adapter directories: what PEFT wrote is read, what is written is read back, and what is computed differently is refused.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { readSafetensors, type StoredTensor, useEngine, writeSafetensors } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readJson } from './files.js';
import { loadModel, loadModelDirectory, saveModel } from './huggingFace.js';
import { isLora, mergeLora, withLora } from './lora.js';
import { baseDirectory, isAdapterDirectory, loadAdapter, saveAdapter } from './peft.js';
import { adapterCases, adapterFixture, loadAdapterCase } from './test/adapters.js';
import { byteTokenizer } from './test/byteTokenizer.js';
import { embedded, fixture } from './test/parity.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'peft-'));
});
afterEach(() => rm(root, { recursive: true }));

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const Q = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';

/** A copy of PEFT's adapter, its configuration and tensors changed. */
async function changed(config: object, edit: (tensors: Record<string, StoredTensor>) => void = () => {}) {
  const directory = join(root, 'adapter');
  await cp(adapterFixture('lora-qv'), directory, { recursive: true });
  const raw = await readJson(join(directory, CONFIG));
  await writeFile(join(directory, CONFIG), JSON.stringify({ ...raw, ...config }));
  const tensors = await readSafetensors(join(directory, WEIGHTS));
  edit(tensors);
  await writeSafetensors(join(directory, WEIGHTS), tensors);
  return directory;
}

/** A tokenizer of 40 ids. */
function fewBytes(): object {
  const { model, ...rest } = byteTokenizer() as { model: { vocab: object } };
  const vocab = Object.fromEntries(Object.entries(model.vocab).filter(([, id]) => id < 40));
  return { ...rest, added_tokens: [], model: { ...model, vocab, merges: [] } };
}

const logits = (model: Parameters<typeof embedded>[0]) =>
  tf.tidy(() =>
    model.head
      .logits(model.forward(embedded(model, [1, 2, 3])))
      .dataSync<'float32'>()
      .slice(),
  );

eachEngine(
  useEngine,
  () => {
    test.each(adapterCases)('%s: saved and loaded, the adapter is the same bits', async (name) => {
      const { model } = await loadAdapterCase(name);
      const directory = join(root, 'deep', 'adapter');
      await saveAdapter(model, directory, { base: '/models/tiny' });
      await saveAdapter(model, directory, { base: '/models/tiny' }); // in its own place
      expect((await readdir(directory)).sort()).toEqual([CONFIG, WEIGHTS]);
      const [want, got] = [adapterFixture(name), directory].map((at) => readSafetensors(join(at, WEIGHTS)));
      expect(await got).toEqual(await want);
      const config = await readJson(join(directory, CONFIG));
      const original = await readJson(join(adapterFixture(name), CONFIG));
      for (const [key, value] of Object.entries({
        ...config,
        base_model_name_or_path: undefined,
        lora_dropout: undefined,
      })) {
        if (value !== undefined) expect(value, key).toEqual(original[key]);
      }
      expect(config).toMatchObject({ base_model_name_or_path: '/models/tiny', lora_dropout: 0 });
      const again = await loadAdapter(model.base, directory);
      expect(logits(again)).toEqual(logits(model));
      again.dispose();
      model.base.dispose();
      model.dispose();
    });

    test('`all-linear` is written as the names of the layers, which PEFT takes for what they are', async () => {
      const base = await loadModel(fixture('qwen2-tied'));
      const model = withLora(base, { r: 2, alpha: 4, target: 'all-linear', seed: 1 });
      await saveAdapter(model, root, { base: 'x' });
      const { target_modules: targets } = await readJson(join(root, CONFIG));
      expect(targets).toEqual(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']);
      const again = await loadAdapter(base, root);
      expect([...again.parameters.keys()]).toEqual([...model.parameters.keys()]);
      for (const each of [again, model, base]) each.dispose();
    });

    describe('a configuration that is computed differently is refused by its key', () => {
      test.each<[string, unknown]>([
        ['use_dora', true],
        ['modules_to_save', ['lm_head']],
        ['rank_pattern', { q_proj: 8 }],
        ['alpha_pattern', { q_proj: 8 }],
        ['bias', 'all'],
        ['lora_bias', true],
        ['fan_in_fan_out', true],
        ['layers_to_transform', [0]],
        ['layers_to_transform', 0],
        ['layers_pattern', 'layers'],
        ['exclude_modules', ['v_proj']],
        ['layer_replication', [[0, 2]]],
        ['target_parameters', ['experts.w']],
        ['trainable_token_indices', [1, 2]],
        ['alora_invocation_tokens', [1]],
        ['use_qalora', true],
        ['megatron_config', { a: 1 }],
        ['init_lora_weights', 'pissa'],
        ['init_lora_weights', 'loftq'],
        ['peft_type', 'IA3'],
        ['target_modules', '.*_proj'],
        ['target_modules', []],
        ['target_modules', ['c_attn']],
        ['target_modules', ['q_proj', 'v_proj', 'lm_head']],
        ['r', 0],
        ['lora_alpha', -1],
        ['lora_dropout', 2],
        ['from_the_future', 1],
      ])('%s: %j', async (key, value) => {
        const directory = await changed({ [key]: value });
        const base = await loadModel(fixture('llama-untied-gqa'));
        const { numTensors } = tf.memory();
        await expect(loadAdapter(base, directory)).rejects.toThrow(`${join(directory, CONFIG)}: ${key}: `);
        expect(tf.memory().numTensors).toBe(numTensors);
        base.dispose();
      });

      test.each<[string, unknown]>([
        ['lora_dropout', 0.3],
        ['init_lora_weights', 'gaussian'],
        ['inference_mode', false],
        ['modules_to_save', []],
        ['revision', 'main'],
      ])('%s: %j is read', async (key, value) => {
        const directory = await changed({ [key]: value });
        const base = await loadModel(fixture('llama-untied-gqa'));
        (await loadAdapter(base, directory)).dispose();
        base.dispose();
      });
    });

    describe('tensors that do not fit are refused by their name', () => {
      test.each<[string, (tensors: Record<string, StoredTensor>) => void, string]>([
        ['missing', (t) => delete t[Q], `expected a tensor ${Q} [4,16], got none`],
        ['of another rank', (t) => t[Q]!.shape.reverse(), `${Q}: expected shape [4,16], got [16,4]`],
        ['not finite', (t) => t[Q]!.values.fill(Number.NaN), `${Q}: expected finite weights, got NaN at element 0`],
        [
          'of a layer without',
          (t) => (t['a.o_proj.lora_A.weight'] = t[Q]!),
          'a.o_proj.lora_A.weight: expected no such',
        ],
        ['of the embedding', (t) => (t['base_model.model.model.embed_tokens.weight'] = t[Q]!), 'embed_tokens.weight: '],
      ])('%s', async (_, edit, message) => {
        const directory = await changed({}, edit);
        const base = await loadModel(fixture('llama-untied-gqa'));
        await expect(loadAdapter(base, directory)).rejects.toThrow(join(directory, WEIGHTS));
        await expect(loadAdapter(base, directory)).rejects.toThrow(message);
        base.dispose();
      });

      test('of another model, cut short, pickled, none', async () => {
        const directory = await changed({});
        const file = join(directory, WEIGHTS);
        const other = await loadModel(fixture('qwen2-untied-gqa'));
        await expect(loadAdapter(other, directory)).rejects.toThrow(`${file}: `);
        other.dispose();
        const base = await loadModel(fixture('llama-untied-gqa'));
        await writeFile(file, (await readFile(file)).subarray(0, 1000));
        await expect(loadAdapter(base, directory)).rejects.toThrow(file);
        await rm(file);
        await expect(loadAdapter(base, directory)).rejects.toThrow(file);
        await writeFile(join(directory, 'adapter_model.bin'), '');
        await expect(loadAdapter(base, directory)).rejects.toThrow(
          `${file}: expected a file, got adapter_model.bin only;`,
        );
        base.dispose();
      });
    });

    test('the model an adapter belongs to: by a full path, one from its directory or one from here', async () => {
      const model = fixture('llama-untied-gqa');
      const at = (base: string) => changed({ base_model_name_or_path: base });
      expect(await baseDirectory(await at(model))).toBe(model);
      expect(await baseDirectory(await at(relative(join(root, 'adapter'), model)))).toBe(model);
      expect(await baseDirectory(await at(relative(process.cwd(), model)))).toBe(model);
      expect(await baseDirectory(model)).toBe(model);
      const where = `${join(root, 'adapter', CONFIG)}: base_model_name_or_path: `;
      await expect(baseDirectory(await at('org/name'))).rejects.toThrow(
        `${where}expected a model, got org/name: org/name: expected a model directory, or a model in the cache`,
      );
      await expect(baseDirectory(await at(''))).rejects.toThrow(
        `${where}expected the model the adapter belongs to, got none`,
      );
      await expect(baseDirectory(await at(model.slice(1)))).rejects.toThrow(join(root, 'adapter', model));
    });

    test('loadModelDirectory: the adapter on its model, with the tokenizer and the noise scale of that', async () => {
      const model = join(root, 'model');
      await cp(fixture('llama-untied-gqa'), model, { recursive: true });
      await writeFile(join(model, 'tokenizer.json'), JSON.stringify(fewBytes()));
      await writeFile(join(model, 'soft_tokens.json'), '{"embeddingRms": 0.125}');
      const directory = await changed({ base_model_name_or_path: '../model' });
      expect([model, directory].map(isAdapterDirectory)).toEqual([false, true]);
      const { numTensors } = tf.memory();
      const loaded = await loadModelDirectory(directory);
      expect(loaded.embeddingRms).toBe(0.125);
      expect(loaded.tokenizer.maxId).toBeLessThan(44);
      const { model: direct } = await loadAdapterCase('lora-qv');
      expect(isLora(loaded.model)).toBe(true);
      expect(logits(loaded.model)).toEqual(logits(direct));
      direct.base.dispose();
      direct.dispose();
      loaded.model.dispose();
      expect(tf.memory().numTensors).toBe(numTensors);

      const elsewhere = await changed({ base_model_name_or_path: 'gone' });
      await expect(loadModelDirectory(elsewhere)).rejects.toThrow('base_model_name_or_path');
      (await loadModelDirectory(elsewhere, { base: model })).model.dispose();
      await expect(loadModelDirectory(await changed({ r: 5 }), { base: model })).rejects.toThrow(
        'expected shape [5,16]',
      );
      expect(tf.memory().numTensors).toBe(numTensors);
      await writeFile(join(directory, 'model.safetensors'), '');
      await expect(loadModelDirectory(directory)).rejects.toThrow(`${directory}: expected a model or an adapter, got`);
    });

    test('a model with adapters is not saved as a whole one; merged it is, and computes the same', async () => {
      const { model } = await loadAdapterCase('lora-qv');
      const directory = join(root, 'merged');
      await expect(saveModel(model, directory)).rejects.toThrow(
        /^saveModel: expected a whole model, got one with adapters/,
      );
      expect(await readdir(root)).toEqual([]);
      const want = logits(model);
      const merged = mergeLora(model);
      await saveModel(merged, directory);
      const again = await loadModel(directory);
      expect(logits(again)).toEqual(logits(merged));
      expect(Math.max(...logits(again).map((x, i) => Math.abs(x - want[i]!)))).toBeLessThan(1e-4);
      merged.dispose();
      again.dispose();
    });
  },
  enginesUnderTest,
);
