// Writing safetensors (safetensors.ts has the format): one file, or a checkpoint in several.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from './files.js';
import { narrowTensor } from './halfFloat.js';
import { checkByteOrder, show } from './reading.js';
import { CHUNK, type Dtype, dtypes, isCounts, METADATA, sizeOf } from './safetensorsFormat.js';

/** A tensor to write. */
export interface TensorToWrite {
  readonly shape: readonly number[];
  /** Row-major; or what gives it when its turn comes, and is let go before the next: floats then. */
  readonly values: Float32Array | Int32Array | (() => Float32Array | Promise<Float32Array>);
}

/** How a safetensors file is written. */
export interface WriteOptions {
  /** How floats are stored: F32 unless said otherwise. */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
  /** Goes into the header. */
  readonly metadata?: Readonly<Record<string, string>>;
}

interface Ordered extends TensorToWrite {
  readonly name: string;
  readonly dtype: Dtype;
  /** Of one element. */
  readonly bytes: number;
}

/**
 * Writes a safetensors file, at once and whole (`writeFileAtomic`). Equal input gives equal bytes: tensors are ordered by
 * element size, largest first, then by name, as the Rust writer does, so that every tensor starts on a multiple of its
 * element's size.
 *
 * `dtype` says how Float32Arrays are stored (default F32); narrower ones round to nearest, ties to even. Int32Arrays are
 * stored as I32. `metadata` goes into the header; Hugging Face's readers want `{ format: 'pt' }`.
 *
 * @throws RangeError if a shape does not fit its values, a name is taken, or a finite value has no finite `dtype`; Error
 * if the file cannot be written. The file is then as it was.
 *
 * ```ts
 * const weight = { shape: [2, 3], values: new Float32Array(6) };
 * await writeSafetensors('model.safetensors', { weight }, { dtype: 'BF16', metadata: { format: 'pt' } });
 * ```
 */
export async function writeSafetensors(
  file: string,
  tensors: Readonly<Record<string, TensorToWrite>>,
  options: WriteOptions = {},
): Promise<void> {
  checkByteOrder('writeSafetensors');
  const { metadata } = options;
  const ordered = Object.entries(tensors)
    .map(([name, tensor]) => toOrdered(name, tensor, options))
    .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));

  const entries: [string, unknown][] = metadata ? [[METADATA, sortedTexts(metadata)]] : [];
  let offset = 0;
  for (const { name, dtype, shape, bytes } of ordered) {
    const end = offset + sizeOf(shape) * bytes;
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);

  await writeFileAtomic(
    file,
    (async function* () {
      yield header;
      for (const { name, dtype, shape, values } of ordered) {
        const given = typeof values === 'function' ? await values() : values;
        if (typeof values === 'function') checkShape(name, shape, given.length);
        yield* encode(name, dtype, given);
      }
    })(),
  );
}

/** What a shard holds at most unless said otherwise, in bytes: as huggingface_hub splits. */
const MAX_SHARD = 5e9;

/**
 * Writes the checkpoint of a model directory, which must exist and have none: `model.safetensors` where all fits into
 * `maxShardSize` bytes (default 5 GB), otherwise `model-00001-of-0000N.safetensors` and `model.safetensors.index.json`.
 * The shards are filled in the order of `tensors`, each with as much as fits; a tensor that is larger gets its own.
 *
 * @throws RangeError as `writeSafetensors` does, and for a `maxShardSize` that is none; Error if the directory has
 * weights already or cannot be written.
 * Reference: huggingface_hub, serialization/_base.py, `split_state_dict_into_shards_factory`.
 *
 * ```ts
 * await writeShardedSafetensors('my-model', weights, { dtype: 'BF16', metadata: { format: 'pt' } });
 * ```
 */
export async function writeShardedSafetensors(
  directory: string,
  tensors: Readonly<Record<string, TensorToWrite>>,
  { maxShardSize = MAX_SHARD, ...options }: WriteOptions & { readonly maxShardSize?: number | undefined } = {},
): Promise<void> {
  if (!(maxShardSize > 0)) {
    throw new RangeError(`writeShardedSafetensors: expected maxShardSize in bytes > 0, got ${maxShardSize}`);
  }
  const present = (await readdir(directory)).find((name) => /^model.*\.safetensors(\.index\.json)?$/.test(name));
  if (present !== undefined) {
    // Shards of another model beside an index are read by nobody, and mistaken for the model by everybody.
    throw new Error(
      `writeShardedSafetensors: expected a directory without weights, got ${join(directory, present)}; remove it`,
    );
  }
  const shards: { bytes: number; tensors: [string, TensorToWrite][] }[] = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    const { bytes, shape } = toOrdered(name, tensor, options);
    const size = sizeOf(shape) * bytes;
    const last = shards.at(-1);
    if (last && last.bytes + size <= maxShardSize) {
      last.bytes += size;
      last.tensors.push([name, tensor]);
    } else shards.push({ bytes: size, tensors: [[name, tensor]] });
  }
  if (shards.length <= 1) return writeSafetensors(join(directory, 'model.safetensors'), tensors, options);

  const number = (n: number) => String(n).padStart(5, '0');
  const weightMap: [name: string, file: string][] = [];
  for (const [i, { tensors }] of shards.entries()) {
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    await writeSafetensors(join(directory, file), Object.fromEntries(tensors), options);
    for (const [name] of tensors) weightMap.push([name, file]);
  }
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(weightMap) };
  await writeFileAtomic(join(directory, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}

function toOrdered(name: string, { shape, values }: TensorToWrite, { dtype = 'F32' }: WriteOptions): Ordered {
  if (!['F32', 'F16', 'BF16'].includes(dtype)) {
    throw new RangeError(`writeSafetensors: expected dtype F32, F16 or BF16, got ${dtype}; choose one of them`);
  }
  checkShape(name, shape, typeof values === 'function' ? sizeOf(shape) : values.length);
  const stored: Dtype = values instanceof Int32Array ? 'I32' : dtype;
  return { name, dtype: stored, shape, values, bytes: dtypes[stored].bytes };
}

function* encode(name: string, dtype: Dtype, values: Float32Array | Int32Array): Generator<Uint8Array> {
  const step = CHUNK / 4;
  for (let at = 0; at < values.length; at += step) {
    const part = values.subarray(at, at + step);
    const stored =
      dtype === 'F16' || dtype === 'BF16'
        ? narrowTensor(`writeSafetensors: tensor ${show(name)}`, dtype, part as Float32Array, at)
        : part;
    yield new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  }
}

function checkShape(name: string, shape: readonly number[], length: number): void {
  if (name === METADATA) {
    throw new RangeError(
      `writeSafetensors: expected names of tensors, got ${METADATA}; rename it: the format takes it`,
    );
  }
  if (isCounts(shape) && sizeOf(shape) === length) return;
  throw new RangeError(
    `writeSafetensors: tensor ${show(name)}: expected a shape of ${length} elements, got ${show(shape)}; ` +
      'give each dimension as an integer from 0 on',
  );
}

function sortedTexts(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, value] of entries) {
    if (typeof value === 'string') continue;
    throw new RangeError(`writeSafetensors: expected text as metadata ${show(key)}, got ${show(value)}; use String()`);
  }
  return Object.fromEntries(entries);
}
