import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, type StoredTensor, useEngine, writeSafetensors } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readJson } from './files.js';
import { loadModel, loadModelDirectory, saveModel } from './huggingFace.js';
import { embeddingRms } from './noiseScale.js';
import { byteTokenizer } from './test/byteTokenizer.js';
import { embedded, fixture } from './test/parity.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'));
});
afterEach(() => rm(root, { recursive: true }));

/** A copy of a fixture's model, its tensors changed by `edit`. */
async function damaged(
  name: string,
  edit: (tensors: Record<string, StoredTensor>) => void = () => {},
): Promise<string> {
  const directory = join(root, 'damaged');
  await mkdir(directory);
  await cp(join(fixture(name), 'config.json'), join(directory, 'config.json'));
  const tensors = await readSafetensors(join(fixture(name), 'model.safetensors'));
  edit(tensors);
  await writeSafetensors(join(directory, 'model.safetensors'), tensors);
  return directory;
}

async function editConfig(directory: string, extra: object): Promise<void> {
  const config = await readJson(join(directory, 'config.json'));
  await writeFile(join(directory, 'config.json'), JSON.stringify({ ...config, ...extra }));
}

eachEngine(
  useEngine,
  () => {
    test.each(['llama-tied', 'qwen2-untied-gqa'])(
      '%s: saved and loaded, every weight is the same bits',
      async (name) => {
        const model = await loadModel(fixture(name));
        const directory = join(root, 'deep', 'saved');
        await saveModel(model, directory);
        const want = await readSafetensors(join(fixture(name), 'model.safetensors'));
        const got = await readSafetensors(join(directory, 'model.safetensors'));
        expect(Object.keys(got).sort()).toEqual(Object.keys(want).sort());
        for (const [tensor, { shape, values }] of Object.entries(want)) {
          expect(got[tensor]!.shape).toEqual(shape);
          expect(Buffer.from(got[tensor]!.values.buffer)).toEqual(Buffer.from(values.buffer));
        }
        expect(await readJson(join(directory, 'config.json'))).toEqual(
          await readJson(join(fixture(name), 'config.json')),
        );
        const again = await loadModel(directory);
        const ids = [1, 2, 3];
        expect(again.forward(embedded(again, ids)).dataSync()).toEqual(model.forward(embedded(model, ids)).dataSync());
        expect(await readdir(join(root, 'deep'))).toEqual(['saved']);
      },
    );

    test('saved as BF16: half the size, what transformers reads, widened on loading', async () => {
      const model = await loadModel(fixture('llama-tied'));
      await saveModel(model, join(root, 'a'), { dtype: 'BF16' });
      const stored = await readSafetensors(join(root, 'a', 'model.safetensors'));
      expect(Object.values(stored).every(({ dtype }) => dtype === 'BF16')).toBe(true);
      expect((await readJson(join(root, 'a', 'config.json'))).torch_dtype).toBe('bfloat16');
      expect((await readFile(join(root, 'a', 'model.safetensors'), 'latin1')).slice(0, 100)).toContain('"format":"pt"');
      const loaded = await loadModel(join(root, 'a'));
      const [was, is] = [model, loaded].map(({ inputEmbedding }) => inputEmbedding.dataSync());
      expect(is!.every((x, i) => Math.abs(x - was![i]!) <= Math.abs(was![i]!) * 2 ** -8)).toBe(true);
      expect(is).not.toEqual(was);
    });

    test('shards are read as one model, and errors name the shard', async () => {
      const directory = await damaged('llama-tied');
      const whole = await readSafetensors(join(directory, 'model.safetensors'));
      await rm(join(directory, 'model.safetensors'));
      const names = Object.keys(whole);
      const shards = [names.slice(0, 5), names.slice(5)];
      const weight_map: Record<string, string> = {};
      for (const [i, members] of shards.entries()) {
        const file = `model-0000${i + 1}-of-00002.safetensors`;
        for (const name of members) weight_map[name] = file;
        const values = whole[members[0]!]!.values;
        const tensors = Object.fromEntries(members.map((name) => [name, whole[name]!]));
        await writeSafetensors(join(directory, file), tensors);
        if (i === 0) continue;
        await writeFile(join(directory, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
        const model = await loadModel(directory);
        const reference = await loadModel(fixture('llama-tied'));
        expect(model.forward(embedded(model, [1, 2])).dataSync()).toEqual(
          reference.forward(embedded(reference, [1, 2])).dataSync(),
        );
        values[0] = Number.NaN;
        await writeSafetensors(join(directory, file), tensors);
        await expect(loadModel(directory)).rejects.toThrow(`${file}: ${members[0]}: expected finite weights, got NaN`);
      }
    });

    test.each<[string, (tensors: Record<string, StoredTensor>) => void, string]>([
      ['missing tensor', (t) => delete t['model.norm.weight'], 'expected a tensor model.norm.weight [16], got none'],
      ['unexpected tensor', (t) => (t.more = t['model.norm.weight']!), 'more: expected no such tensor'],
      [
        'wrong shape',
        (t) => t['model.norm.weight']!.shape.unshift(1),
        'model.norm.weight: expected shape [16], got [1,16]',
      ],
      ['NaN', (t) => (t['model.norm.weight']!.values[2] = Number.NaN), 'model.norm.weight: expected finite weights'],
    ])('refused, naming file and tensor: %s', async (_, edit, message) => {
      const directory = await damaged('llama-tied', edit);
      const before = tf.memory().numTensors;
      await expect(loadModel(directory)).rejects.toThrow(message);
      await expect(loadModel(directory)).rejects.toThrow(join(directory, 'model.safetensors'));
      expect(tf.memory().numTensors).toBe(before);
    });

    test('refused, naming the file: a cut file, no file, an unknown model_type, unsupported scaling', async () => {
      const directory = await damaged('llama-tied');
      await editConfig(directory, { model_type: 'mamba' });
      await expect(loadModel(directory)).rejects.toThrow('config.json: model_type: expected one of llama, qwen2');
      await editConfig(directory, { model_type: 'llama', rope_scaling: { rope_type: 'yarn' } });
      await expect(loadModel(directory)).rejects.toThrow(`${join(directory, 'config.json')}: rope_scaling`);
      await editConfig(directory, { rope_scaling: null });
      await truncate(join(directory, 'model.safetensors'), 3000);
      await expect(loadModel(directory)).rejects.toThrow(join(directory, 'model.safetensors'));
      await expect(loadModel(join(root, 'nowhere'))).rejects.toThrow(join('nowhere', 'config.json'));
    });

    /** A model directory with a tokenizer, its vocabulary as large as asked. */
    async function withTokenizer(vocab: number): Promise<string> {
      const directory = await damaged('llama-tied', (tensors) => {
        const name = 'model.embed_tokens.weight';
        const values = new Float32Array(vocab * 16).fill(0.5);
        tensors[name] = { dtype: 'F32', shape: [vocab, 16], values };
      });
      await editConfig(directory, { vocab_size: vocab });
      await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(byteTokenizer()));
      return directory;
    }

    test('a tokenizer must fit its model', async () => {
      const directory = await withTokenizer(259);
      expect((await loadModelDirectory(directory)).tokenizer.maxId).toBe(258);
      await editConfig(directory, { eos_token_id: 259 });
      await expect(loadModelDirectory(directory)).rejects.toThrow('eos_token_id: expected an id below vocab_size 259');
      await rm(directory, { recursive: true });

      const small = await withTokenizer(258);
      const before = tf.memory().numTensors;
      await expect(loadModelDirectory(small)).rejects.toThrow('tokenizer.json: expected ids below vocab_size 258');
      expect(tf.memory().numTensors).toBe(before);
      await rm(small, { recursive: true });

      // Vocabularies are padded; that of another model is smaller by more.
      const padded = await withTokenizer(259 + 500);
      expect((await loadModelDirectory(padded)).model.vocabSize).toBe(759);
      await rm(padded, { recursive: true });
      await expect(loadModelDirectory(await withTokenizer(259 + 513))).rejects.toThrow('got none above 258');
    });

    test('the noise scale is that of E, until a stored one says otherwise; it travels with the tokenizer', async () => {
      const directory = await withTokenizer(259);
      const { model, tokenizer, embeddingRms: computed } = await loadModelDirectory(directory);
      expect(computed).toBe(embeddingRms(model));
      expect(computed).toBeCloseTo(0.5, 10);
      model.inputEmbedding.assign(tf.fill([259, 16], 2));
      await saveModel(model, join(root, 'saved'), { from: directory, embeddingRms: computed });
      const saved = await loadModelDirectory(join(root, 'saved'));
      expect(saved.embeddingRms).toBe(computed);
      expect(embeddingRms(saved.model)).toBe(2);
      expect(saved.tokenizer.encode('é a')).toEqual(tokenizer.encode('é a'));

      const file = join(root, 'saved', 'soft_tokens.json');
      await writeFile(file, '{"embeddingRms": 0}');
      await expect(loadModelDirectory(join(root, 'saved'))).rejects.toThrow(
        `${file}: embeddingRms: expected a number > 0`,
      );
      await writeFile(file, '{"embeddingRms": 1, "rms": 1}');
      await expect(loadModelDirectory(join(root, 'saved'))).rejects.toThrow(`${file}: rms`);
    });

    test('saving keeps the README and the licence of the model it replaces', async () => {
      const model = await loadModel(fixture('llama-tied'));
      const directory = join(root, 'model');
      await saveModel(model, directory, { embeddingRms: 1 });
      await writeFile(join(directory, 'README.md'), 'about it');
      await writeFile(join(directory, 'LICENSE'), 'mine');
      await saveModel(model, directory);
      expect((await readdir(directory)).sort()).toEqual(['LICENSE', 'README.md', 'config.json', 'model.safetensors']);
      expect(await readFile(join(directory, 'README.md'), 'utf8')).toBe('about it');
      expect(await readFile(join(directory, 'LICENSE'), 'utf8')).toBe('mine');
      expect(await readdir(root)).toEqual(['model']);
    });

    test('saving replaces a model directory whole, and refuses any other', async () => {
      const model = await loadModel(fixture('llama-tied'));
      const directory = join(root, 'model');
      await saveModel(model, directory, { embeddingRms: 1 });
      await saveModel(model, directory);
      expect((await readdir(directory)).sort()).toEqual(['config.json', 'model.safetensors']);

      await writeFile(join(directory, 'notes.txt'), 'mine');
      await expect(saveModel(model, directory)).rejects.toThrow('got one with notes.txt');
      expect(await readFile(join(directory, 'notes.txt'), 'utf8')).toBe('mine');
      await mkdir(join(root, 'other'));
      await writeFile(join(root, 'other', 'README.md'), 'mine');
      await expect(saveModel(model, join(root, 'other'))).rejects.toThrow('got one without config.json');
      await mkdir(join(root, 'empty'));
      await saveModel(model, join(root, 'empty'));

      // A failed save leaves nothing behind and what was there as it was.
      await expect(saveModel(model, join(root, 'empty'), { from: fixture('llama-tied') })).rejects.toThrow(
        'tokenizer.json',
      );
      expect((await readdir(root)).sort()).toEqual(['empty', 'model', 'other']);
      expect((await readdir(join(root, 'empty'))).sort()).toEqual(['config.json', 'model.safetensors']);
    });
  },
  enginesUnderTest,
);
