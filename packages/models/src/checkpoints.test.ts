// Checkpoints as they come from the hub, and as they may come: in shards, behind links, damaged, too large.
import {
  cp,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  engineMemory,
  openSafetensors,
  readSafetensors,
  readShardedSafetensors,
  type TensorToWrite,
  useEngine,
  writeSafetensors,
  writeShardedSafetensors,
} from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { loadModel, modelParameters, saveModel } from './huggingFace.js';
import { embedded, fixture } from './test/parity.js';

const INDEX = 'model.safetensors.index.json';
const source = fixture('llama-untied-gqa');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

/** Windows lets few make symbolic links. */
const noLinks = process.platform === 'win32';

const shardNames = async (directory: string) => (await readdir(directory)).filter((name) => /-of-/.test(name)).sort();

/** The fixture's model in shards of at most so many bytes. */
async function sharded(directory: string, maxShardSize = 4000): Promise<string> {
  await mkdir(directory, { recursive: true });
  await cp(join(source, 'config.json'), join(directory, 'config.json'));
  const tensors = await readSafetensors(join(source, 'model.safetensors'));
  await writeShardedSafetensors(directory, tensors, { maxShardSize, metadata: { format: 'pt' } });
  return directory;
}

const editIndex = async (directory: string, edit: (map: Record<string, string>) => void) => {
  const index = JSON.parse(await readFile(join(directory, INDEX), 'utf8'));
  edit(index.weight_map);
  await writeFile(join(directory, INDEX), JSON.stringify(index));
};

/** Writes a model whose weights are a hole in its file: all headers, and 3.2 TB of zeros that take no room on the disk. */
async function hugeModel(directory: string): Promise<string> {
  await mkdir(directory);
  const config = { model_type: 'llama', vocab_size: 1e11, hidden_size: 16, intermediate_size: 8, num_hidden_layers: 1 };
  const heads = { num_attention_heads: 2, rms_norm_eps: 1e-5, tie_word_embeddings: true };
  await writeFile(join(directory, 'config.json'), JSON.stringify({ ...config, ...heads }));
  const layer = 'model.layers.0.';
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [1e11, 16]],
    ...['q', 'k', 'v', 'o'].map((x): [string, number[]] => [`${layer}self_attn.${x}_proj.weight`, [16, 16]]),
    [`${layer}mlp.gate_proj.weight`, [8, 16]],
    [`${layer}mlp.up_proj.weight`, [8, 16]],
    [`${layer}mlp.down_proj.weight`, [16, 8]],
    [`${layer}input_layernorm.weight`, [16]],
    [`${layer}post_attention_layernorm.weight`, [16]],
    ['model.norm.weight', [16]],
  ];
  let end = 0;
  const header = Object.fromEntries(
    shapes.map(([name, shape]) => {
      const begin = end;
      end += 2 * shape.reduce((a, b) => a * b, 1);
      return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = join(directory, 'model.safetensors');
  await writeFile(file, Buffer.concat([length, json]));
  await truncate(file, 8 + json.length + end);
  return directory;
}

eachEngine(
  useEngine,
  () => {
    test.each(['F32', 'BF16', 'F16'] as const)(
      '%s: saved in shards, the model is the same as in one file',
      async (dtype) => {
        const model = await loadModel(source);
        await saveModel(model, join(root, 'whole'), { dtype });
        await saveModel(model, join(root, 'parts'), { dtype, maxShardSize: 3000 });
        const names = await shardNames(join(root, 'parts'));
        expect(names.length).toBeGreaterThan(2);
        expect((await readdir(join(root, 'parts'))).sort()).toEqual(['config.json', ...names, INDEX].sort());
        expect(await readShardedSafetensors(join(root, 'parts'))).toEqual(
          await readShardedSafetensors(join(root, 'whole')),
        );

        const [a, b] = [await loadModel(join(root, 'whole')), await loadModel(join(root, 'parts'))];
        expect(b.forward(embedded(b, [1, 2])).dataSync()).toEqual(a.forward(embedded(a, [1, 2])).dataSync());
        tf.dispose([model, a, b].flatMap(({ parameters }) => [...parameters.values()]));
      },
    );

    test('saving over shards leaves none of the old ones, whichever way', async () => {
      const model = await loadModel(source);
      const directory = join(root, 'model');
      const shards = async (maxShardSize?: number) => {
        await saveModel(model, directory, { maxShardSize });
        return shardNames(directory);
      };
      const many = await shards(2000);
      const few = await shards(6000);
      expect(few.length).toBeLessThan(many.length);
      expect(few.every((name) => name.endsWith(`-of-0000${few.length}.safetensors`))).toBe(true);
      expect(await shards()).toEqual([]);
      expect((await readdir(directory)).sort()).toEqual(['config.json', 'model.safetensors']);
      expect((await shards(2000)).length).toBe(many.length);
      expect((await readdir(directory)).includes('model.safetensors')).toBe(false);
      model.dispose();
    });

    test('a save that fails in a late shard leaves what was there', async () => {
      const model = await loadModel(source);
      const directory = join(root, 'model');
      await saveModel(model, directory, { maxShardSize: 3000 });
      const before = await readdir(directory);
      const last = [...model.parameters.values()].at(-1)!;
      last.assign(tf.fill(last.shape, 1e6)); // more than the format has
      await expect(saveModel(model, directory, { dtype: 'F16', maxShardSize: 3000 })).rejects.toThrow('within F16');
      expect(await readdir(directory)).toEqual(before);
      expect(await readdir(root)).toEqual(['model']);
      await expect(saveModel(model, directory, { maxShardSize: Number.NaN })).rejects.toThrow(
        'maxShardSize in bytes > 0',
      );
      await (await loadModel(directory)).dispose();
      model.dispose();
    });

    test.skipIf(noLinks)('a snapshot of the hub cache, all links into its blobs, is a model', async () => {
      const model = join(root, 'models--org--name');
      const snapshot = join(model, 'snapshots', 'abc');
      const plain = await sharded(join(root, 'plain'));
      await mkdir(join(model, 'blobs'), { recursive: true });
      await mkdir(snapshot, { recursive: true });
      for (const [i, name] of (await readdir(plain)).entries()) {
        await rename(join(plain, name), join(model, 'blobs', `${i}`));
        await symlink(join('..', '..', 'blobs', `${i}`), join(snapshot, name));
      }
      const [linked, direct] = [await loadModel(snapshot), await loadModel(source)];
      expect(linked.forward(embedded(linked, [1, 2])).dataSync()).toEqual(
        direct.forward(embedded(direct, [1, 2])).dataSync(),
      );

      // An interrupted download.
      const [first, last] = [(await shardNames(snapshot))[0]!, (await shardNames(snapshot)).at(-1)!];
      const { length } = await readdir(join(model, 'blobs'));
      for (let i = 0; i < length; i++) await rm(join(model, 'blobs', `${i}`));
      await expect(loadModel(snapshot)).rejects.toThrow('config.json');
      await cp(join(source, 'config.json'), join(model, 'blobs', '0'));
      await rm(join(snapshot, 'config.json'));
      await symlink(join('..', '..', 'blobs', '0'), join(snapshot, 'config.json'));
      await expect(loadModel(snapshot)).rejects.toThrow(`${join(snapshot, INDEX)}, got a link to ../../blobs/`);
      await rm(join(snapshot, INDEX));
      await writeFile(join(snapshot, INDEX), JSON.stringify({ weight_map: { a: first, b: last } }));
      await expect(loadModel(snapshot)).rejects.toThrow(`${join(snapshot, first)}, got a link to ../../blobs/`);
      await rm(join(snapshot, INDEX));
      await symlink('nowhere', join(snapshot, 'model.safetensors'));
      await expect(loadModel(snapshot)).rejects.toThrow(`model.safetensors, got a link to nowhere`);
    });

    type Damage = (directory: string, shards: string[]) => Promise<unknown>;
    const aLoop: [string, Damage, RegExp] = [
      'a shard within itself',
      async (d, s) => [await rm(join(d, s[1]!)), await symlink(s[1]!, join(d, s[1]!))],
      /got a link to model-00002/,
    ];
    test.each<[string, Damage, string | RegExp]>([
      [
        'a shard cut short',
        (d, s) => truncate(join(d, s.at(-1)!), 600),
        /-of-.*: tensor ".*": expected \d+ bytes of data/,
      ],
      ['an empty shard', (d, s) => truncate(join(d, s[1]!), 0), /model-00002-of-.*expected at least 8 bytes, got 0/],
      ['no shard', (d, s) => rm(join(d, s[1]!)), /a file at .*model-00002-of-.*got ENOENT/],
      [
        'a directory for a shard',
        async (d, s) => [await rm(join(d, s[1]!)), await mkdir(join(d, s[1]!))],
        /expected a file, got something else/,
      ],
      [
        'a way out',
        (d, s) => editIndex(d, (map) => (map['model.norm.weight'] = `../${s[0]}`)),
        /"model.norm.weight": expected the name of a \.safetensors file in the same directory/,
      ],
      [
        'a tensor in the wrong shard',
        (d, s) => editIndex(d, (map) => (map['model.norm.weight'] = s[0]!)),
        /"model.norm.weight": expected a tensor that is nowhere else/,
      ],
      [
        'a tensor that is in no shard',
        (d, s) => editIndex(d, (map) => (map.more = s[0]!)),
        /index\.json: tensor "more": expected the tensor in model-00001/,
      ],
      [
        'a tensor too few in the index',
        (d) => editIndex(d, (map) => delete map['model.norm.weight']),
        /"model.norm.weight": expected only tensors that the index names/,
      ],
      [
        'no list in the index',
        (d) => writeFile(join(d, INDEX), '{"weight_map": []}'),
        'expected an object under the key weight_map, got []',
      ],
      [
        'a deep index',
        (d) => writeFile(join(d, INDEX), `{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`),
        'brackets at most 16 deep',
      ],
      [
        'both kinds',
        (d, s) => cp(join(d, s[0]!), join(d, 'model.safetensors')),
        'got both; remove the one that is not the model',
      ],
      [
        'a config.json that is a list',
        (d) => writeFile(join(d, 'config.json'), '[1]'),
        /config\.json: expected a JSON object, got a list/,
      ],
      [
        'a config.json that is a number',
        (d) => writeFile(join(d, 'config.json'), '1'),
        /config\.json: expected a JSON object, got 1/,
      ],
      ['an empty config.json', (d) => writeFile(join(d, 'config.json'), ''), /config\.json: expected JSON/],
      [
        'a deep config.json',
        (d) =>
          writeFile(
            join(d, 'config.json'),
            `{"rope_scaling":${'['.repeat(1e6)}${']'.repeat(1e6)},"model_type":"llama"}`,
          ),
        /config\.json: expected brackets at most \d+ deep/,
      ],
      [
        'a huge config.json',
        (d) => truncate(join(d, 'config.json'), 2e12),
        /config\.json: expected at most \d+ bytes, got 2000000000000/,
      ],
      ...(noLinks ? [] : [aLoop]),
    ])('refused, naming the file, with nothing left in memory: %s', async (_, damage, message) => {
      const directory = await sharded(join(root, 'model'));
      await damage(directory, await shardNames(directory));
      const before = [tf.memory().numTensors, tf.memory().numBytes, engineMemory().live];
      await expect(loadModel(directory)).rejects.toThrow(message);
      await expect(loadModel(directory)).rejects.toThrow(directory);
      await expect(modelParameters(directory)).rejects.toThrow(message);
      expect([tf.memory().numTensors, tf.memory().numBytes, engineMemory().live]).toEqual(before);
    });

    test.each<[string, (tensor: { shape: number[]; values: Float32Array }) => TensorToWrite, string]>([
      [
        'NaN',
        ({ shape, values }) => ({ shape, values: values.fill(Number.NaN, 3, 4) }),
        'expected finite weights, got NaN at element 3',
      ],
      [
        'whole numbers',
        ({ shape, values }) => ({ shape, values: new Int32Array(values.length) }),
        'expected floating-point weights, got integers',
      ],
    ])(
      'refused with the last tensor, naming its shard, with nothing left in memory: %s',
      async (_, damage, message) => {
        const directory = await sharded(join(root, 'model'));
        const name = [...(await modelParameters(directory)).keys()].at(-1)!;
        const { weight_map } = JSON.parse(await readFile(join(directory, INDEX), 'utf8'));
        const file = join(directory, weight_map[name]);
        const tensors: Record<string, TensorToWrite> = await readSafetensors(file);
        tensors[name] = damage(tensors[name] as { shape: number[]; values: Float32Array });
        await writeSafetensors(file, tensors);
        const before = [tf.memory().numTensors, tf.memory().numBytes, engineMemory().live];
        await expect(loadModel(directory)).rejects.toThrow(`${file}: ${name}: ${message}`);
        expect([tf.memory().numTensors, tf.memory().numBytes, engineMemory().live]).toEqual(before);
      },
    );

    test('refused by the headers alone: a model larger than memory', async () => {
      vi.stubEnv('SOFT_TOKENS_IGNORE_MEMORY', undefined);
      const directory = await hugeModel(join(root, 'huge'));
      expect((await modelParameters(directory)).get('model.embed_tokens.weight')).toEqual([1e11, 16]);
      const wasm = tf.getBackend() === 'wasm'; // which stages the largest
      await expect(loadModel(directory)).rejects.toThrow(
        `${join(directory, 'model.safetensors')}: expected about ${wasm ? '12800' : '6400'}.0 GB of free memory for ` +
          '1,600,000,001,456 parameters in float32, got ',
      );
      await expect(loadModel(directory, { ignoreMemory: true })).rejects.toThrow(RangeError); // the array itself
      vi.stubEnv('SOFT_TOKENS_IGNORE_MEMORY', '1');
      await expect(loadModel(directory)).rejects.toThrow(RangeError);
    });

    test('a file that is written while it is read is an error, not a mixture', async () => {
      const directory = await sharded(join(root, 'model'), Number.POSITIVE_INFINITY);
      const file = join(directory, 'model.safetensors');
      const { read } = await openSafetensors(file);
      await read('model.norm.weight');
      const handle = await open(file, 'a');
      await handle.write('x');
      await handle.close();
      await expect(read('model.norm.weight')).rejects.toThrow(
        'expected the file as it was opened, got one that has changed',
      );
    });
  },
  enginesUnderTest,
);
