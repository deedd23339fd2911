// Checkpoints of a model directory: one safetensors file, or several with an index of which holds what.
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { show, withFile } from './reading.js';
import { type OpenSafetensors, openSafetensors, readAll, readBytes, type StoredTensor } from './safetensors.js';
import { invalid, isObject, MAX_HEADER, parseObject, READER } from './safetensorsFormat.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/**
 * Reads the headers of the checkpoint of a model directory, its `model.safetensors` or the shards that its
 * `model.safetensors.index.json` names, and lets the tensors be read one after another.
 *
 * @throws Error naming the file, and the tensor where one is to blame: for each file what `openSafetensors` throws, and
 * if there is neither or both of the two, if the index names a file outside the directory or a tensor that its shard
 * lacks, and if a shard holds a tensor that the index places elsewhere or nowhere.
 *
 * ```ts
 * const { tensors, read } = await openShardedSafetensors('Qwen2.5-0.5B');
 * tensors.get('model.norm.weight')?.shape; // [896]
 * ```
 */
export async function openShardedSafetensors(directory: string): Promise<OpenSafetensors> {
  const single = await exists(join(directory, SINGLE));
  const sharded = await exists(join(directory, INDEX));
  if (single === sharded) {
    const cure = single
      ? 'remove the one that is not the model'
      : 'check the path, or convert the checkpoint to safetensors';
    throw new Error(
      `readShardedSafetensors: expected ${SINGLE} or ${INDEX} in ${directory}, got ${single ? 'both' : 'neither'}; ${cure}`,
    );
  }
  return single ? openSafetensors(join(directory, SINGLE)) : openShards(directory);
}

/**
 * Reads the checkpoint of a model directory whole: `openShardedSafetensors`, all tensors at once.
 *
 * @throws Error as `openShardedSafetensors` and its `read` do.
 *
 * ```ts
 * const weights = await readShardedSafetensors('Qwen2.5-0.5B');
 * ```
 */
export async function readShardedSafetensors(directory: string): Promise<Record<string, StoredTensor>> {
  return readAll(await openShardedSafetensors(directory));
}

async function openShards(directory: string): Promise<OpenSafetensors> {
  const indexFile = join(directory, INDEX);
  const shardOf = await readShardIndex(indexFile);
  const shards = new Map<string, OpenSafetensors>();
  for (const shard of [...new Set(shardOf.values())].sort()) {
    shards.set(shard, await openSafetensors(join(directory, shard)));
  }
  for (const [shard, { tensors }] of shards) {
    for (const name of tensors.keys()) {
      const place = shardOf.get(name);
      if (place === shard) continue;
      const expected = place === undefined ? 'only tensors that the index names' : 'a tensor that is nowhere else';
      const got = place === undefined ? 'one that it does not' : `one that ${place} should hold`;
      throw invalid(join(directory, shard), name, expected, got);
    }
  }
  const of = (name: string) => shards.get(shardOf.get(name)!)!;
  for (const [name, shard] of shardOf) {
    if (!of(name).tensors.has(name)) throw invalid(indexFile, name, `the tensor in ${shard}`, 'a shard without it');
  }
  return {
    path: indexFile,
    tensors: new Map([...shards.values()].flatMap(({ tensors }) => [...tensors])),
    read(name, into) {
      if (shardOf.has(name)) return of(name).read(name, into);
      throw new RangeError(`${READER}: ${directory}: expected the name of a tensor, got ${show(name)}`);
    },
  };
}

/**
 * Reads which shard holds which tensor, the plain name of a file beside the index: from `model.safetensors.index.json`.
 *
 * @throws Error naming the file, and the tensor where one is to blame, if it is no index or leads out of its directory.
 * @example (await readShardIndex('big/model.safetensors.index.json')).get('lm_head.weight');
 */
export async function readShardIndex(file: string): Promise<Map<string, string>> {
  const { weight_map: map } = await withFile(READER, file, async (handle, { size }) => {
    if (size > MAX_HEADER) throw invalid(file, undefined, `an index of at most ${MAX_HEADER} bytes`, `${size}`);
    return parseObject(file, await readBytes(handle, file, 0, size));
  });
  if (!isObject(map)) throw invalid(file, undefined, 'an object under the key weight_map', show(map));
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // A plain name only: the index must not lead out of its directory.
    if (typeof shard !== 'string' || !/^[^/\\:\0]+\.safetensors$/.test(shard)) {
      throw invalid(file, name, 'the name of a .safetensors file in the same directory', show(shard));
    }
    shardOf.set(name, shard);
  }
  return shardOf;
}

/** Whether a directory has such an entry: a link that leads nowhere is one too, and an error when it is opened. */
async function exists(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
      throw error;
    },
  );
}
