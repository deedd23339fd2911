// Safetensors, the file format of Hugging Face checkpoints: https://github.com/huggingface/safetensors#format
//
//   8 bytes   N, the length of the header, u64 little-endian
//   N bytes   JSON: { name: { dtype, shape, data_offsets: [begin, end] }, ..., __metadata__?: { text: text } }
//   the rest  the tensors' bytes, little-endian, row-major; offsets count from here and leave no holes
//
// A checkpoint may be split into shards, with model.safetensors.index.json to say which file holds which tensor.
//
// The files come from outside. A header is checked whole before memory is taken for any tensor, and no tensor can take
// more than four times what the file holds of it.
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from './files.js';
import { narrowBF16, narrowF16, widenBF16, widenF16 } from './halfFloat.js';

/** Where each stored type lands: floats in a Float32Array, integers and booleans in an Int32Array. */
const dtypes = {
  F32: { bytes: 4, kind: 'float' },
  F16: { bytes: 2, kind: 'float' },
  BF16: { bytes: 2, kind: 'float' },
  I64: { bytes: 8, kind: 'integer' },
  I32: { bytes: 4, kind: 'integer' },
  U8: { bytes: 1, kind: 'integer' },
  BOOL: { bytes: 1, kind: 'integer' },
} as const;

type Dtype = keyof typeof dtypes;

/** A tensor as read. */
export interface StoredTensor {
  /** How the file stores it. */
  readonly dtype: Dtype;
  readonly shape: number[];
  /** Row-major. F16 and BF16 are widened, exactly; I64 must fit in 32 bits; BOOL is 0 or 1. */
  readonly values: Float32Array | Int32Array;
}

interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: number[];
  /** Elements. */
  readonly size: number;
  readonly begin: number;
  readonly end: number;
}

const MAX_HEADER = 100_000_000; // the limit of the Rust reader, safetensors/src/tensor.rs
const METADATA = '__metadata__';
const CHUNK = 1 << 22; // bytes; a multiple of every element's

/**
 * Reads a safetensors file, tensor by tensor, so that it is in memory once.
 *
 * @throws Error naming the file, and the tensor where one is to blame, if the file cannot be read or is not valid.
 *
 * ```ts
 * const { 'model.norm.weight': norm } = await readSafetensors('model.safetensors');
 * norm?.shape; // [896]
 * ```
 */
export async function readSafetensors(file: string): Promise<Record<string, StoredTensor>> {
  checkByteOrder('readSafetensors');
  const handle = await openFile(file);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw invalid(file, undefined, 'a file', 'something else, such as a directory');
    const { entries, dataStart } = await readHeader(handle, file, stats.size);
    const tensors: [string, StoredTensor][] = [];
    for (const entry of entries) {
      const values = await readValues(handle, file, entry, dataStart);
      tensors.push([entry.name, { dtype: entry.dtype, shape: entry.shape, values }]);
    }
    return Object.fromEntries(tensors);
  } finally {
    await handle.close();
  }
}

/**
 * Reads the checkpoint of a model directory: its `model.safetensors` or, where there is none, the shards that its
 * `model.safetensors.index.json` names. transformers looks in the same order.
 *
 * @throws Error naming the file, and the tensor where one is to blame: for the shards what `readSafetensors` throws, and
 * if the index names a file outside the directory, a tensor that its shard lacks, or shards that hold a tensor twice.
 *
 * ```ts
 * const weights = await readShardedSafetensors('Qwen2.5-0.5B');
 * ```
 */
export async function readShardedSafetensors(directory: string): Promise<Record<string, StoredTensor>> {
  const single = join(directory, 'model.safetensors');
  if (await exists(single)) return readSafetensors(single);
  const indexFile = join(directory, 'model.safetensors.index.json');
  if (!(await exists(indexFile))) {
    throw new Error(
      `readShardedSafetensors: expected model.safetensors or model.safetensors.index.json in ${directory}, ` +
        'got neither; check the path, or convert the checkpoint to safetensors',
    );
  }

  const shardOf = await readIndex(indexFile);
  const tensors = new Map<string, { shard: string; tensor: StoredTensor }>();
  for (const shard of [...new Set(shardOf.values())].sort()) {
    for (const [name, tensor] of Object.entries(await readSafetensors(join(directory, shard)))) {
      const other = tensors.get(name)?.shard ?? shardOf.get(name) ?? shard;
      if (other !== shard) {
        throw invalid(join(directory, shard), name, `a tensor that is nowhere else`, `one that ${other} should hold`);
      }
      tensors.set(name, { shard, tensor });
    }
  }
  for (const [name, shard] of shardOf) {
    if (!tensors.has(name)) throw invalid(indexFile, name, `the tensor in ${shard}`, 'a shard without it');
  }
  return Object.fromEntries(Array.from(tensors, ([name, { tensor }]) => [name, tensor]));
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
  tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: Float32Array | Int32Array }>>,
  options: { readonly dtype?: 'F32' | 'F16' | 'BF16'; readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  checkByteOrder('writeSafetensors');
  const { dtype: floatType = 'F32', metadata } = options;
  if (!['F32', 'F16', 'BF16'].includes(floatType)) {
    throw new RangeError(`writeSafetensors: expected dtype F32, F16 or BF16, got ${floatType}; choose one of them`);
  }
  const ordered = Object.entries(tensors)
    .map(([name, { shape, values }]) => {
      const dtype: Dtype = values instanceof Int32Array ? 'I32' : floatType;
      checkShape(name, shape, values.length);
      return { name, dtype, shape, values, bytes: dtypes[dtype].bytes };
    })
    .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));

  const entries: [string, unknown][] = metadata ? [[METADATA, sortedTexts(metadata)]] : [];
  let offset = 0;
  for (const { name, dtype, shape, values, bytes } of ordered) {
    const end = offset + values.length * bytes;
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);

  await writeFileAtomic(
    file,
    (function* () {
      yield header;
      for (const { name, dtype, values } of ordered) yield* encode(name, dtype, values);
    })(),
  );
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r');
  } catch (error) {
    const got = (error as Error).message;
    throw new Error(`readSafetensors: expected a file at ${file}, got ${got}; check the path`, { cause: error });
  }
}

async function readHeader(handle: FileHandle, file: string, fileSize: number) {
  if (fileSize < 8) throw invalid(file, undefined, 'at least 8 bytes', `${fileSize}`);
  const length = Number(Buffer.from(await readBytes(handle, file, 0, 8)).readBigUInt64LE());
  if (length > MAX_HEADER) throw invalid(file, undefined, `a header of at most ${MAX_HEADER} bytes`, `${length}`);
  const dataStart = 8 + length;
  if (dataStart > fileSize) {
    throw invalid(file, undefined, `a header of ${length} bytes`, `a file that ends after ${fileSize - 8} of them`);
  }

  const header = parseObject(file, await readBytes(handle, file, 8, length));
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) checkMetadata(file, value);
    else entries.push(toEntry(file, name, value));
  }

  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const entry of entries) {
    if (entry.begin !== end) {
      const fault = entry.begin < end ? 'an overlap with the tensor before it' : 'a hole before it';
      throw invalid(file, entry.name, `its data to begin at ${end}`, `${entry.begin}, ${fault}`);
    }
    end = entry.end;
  }
  if (dataStart + end !== fileSize) {
    throw invalid(file, entries.at(-1)?.name, `${end} bytes of data`, `${fileSize - dataStart}`);
  }
  return { entries, dataStart };
}

function toEntry(file: string, name: string, value: unknown): Entry {
  if (!isObject(value)) throw invalid(file, name, '{ dtype, shape, data_offsets }', show(value));
  const { dtype, shape, data_offsets: offsets, ...others } = value;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw invalid(file, name, 'the keys dtype, shape and data_offsets', show(unknown));
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypes, dtype)) {
    throw invalid(file, name, `a dtype among ${Object.keys(dtypes).join(', ')}`, show(dtype));
  }
  if (!isCounts(shape)) throw invalid(file, name, 'a shape of integers from 0 on', show(shape));
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw invalid(file, name, 'data_offsets [begin, end], 0 <= begin <= end', show(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const size = sizeOf(shape);
  const { bytes } = dtypes[dtype as Dtype];
  if (size * bytes !== end - begin) {
    throw invalid(file, name, `${size * bytes} bytes for ${dtype} ${show(shape)}`, `${end - begin}`);
  }
  return { name, dtype: dtype as Dtype, shape, size, begin, end };
}

async function readValues(handle: FileHandle, file: string, entry: Entry, dataStart: number) {
  const { name, dtype, size, begin, end } = entry;
  const values = dtypes[dtype].kind === 'float' ? new Float32Array(size) : new Int32Array(size);
  const inPlace = dtype === 'F32' || dtype === 'I32';
  for (let at = begin; at < end; at += CHUNK) {
    const length = Math.min(CHUNK, end - at);
    const first = (at - begin) / dtypes[dtype].bytes;
    if (inPlace) {
      await readInto(handle, file, dataStart + at, new Uint8Array(values.buffer, at - begin, length));
    } else {
      const { buffer } = await readBytes(handle, file, dataStart + at, length);
      values.set(decode(file, name, dtype, buffer), first);
    }
  }
  return values;
}

function decode(file: string, name: string, dtype: Exclude<Dtype, 'F32' | 'I32'>, buffer: ArrayBuffer) {
  switch (dtype) {
    case 'F16':
      return widenF16(new Uint16Array(buffer));
    case 'BF16':
      return widenBF16(new Uint16Array(buffer));
    case 'U8':
      return new Uint8Array(buffer);
    case 'BOOL': {
      const bytes = new Uint8Array(buffer);
      const wrong = bytes.find((byte) => byte > 1);
      if (wrong !== undefined) throw invalid(file, name, 'BOOL values 0 or 1', `${wrong}`);
      return bytes;
    }
    case 'I64':
      return Int32Array.from(new BigInt64Array(buffer), (value) => {
        if (BigInt.asIntN(32, value) !== value) throw invalid(file, name, 'I64 values that fit in 32 bits', `${value}`);
        return Number(value);
      });
  }
}

async function readBytes(handle: FileHandle, file: string, position: number, length: number) {
  const bytes = new Uint8Array(length);
  await readInto(handle, file, position, bytes);
  return bytes;
}

async function readInto(handle: FileHandle, file: string, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) throw invalid(file, undefined, `${bytes.length} bytes at ${position}`, `${done}`);
    done += bytesRead;
  }
}

/** The shard of each tensor, from model.safetensors.index.json. */
async function readIndex(file: string): Promise<Map<string, string>> {
  const { size } = await stat(file);
  if (size > MAX_HEADER) throw invalid(file, undefined, `an index of at most ${MAX_HEADER} bytes`, `${size}`);
  const { weight_map: map } = parseObject(file, await readFile(file));
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

function parseObject(file: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(file, undefined, 'JSON in UTF-8', show((error as Error).message));
  }
  if (!isObject(value)) throw invalid(file, undefined, 'a JSON object', show(value));
  const twice = findDuplicateKey(text);
  if (twice !== undefined) throw invalid(file, twice, 'the key once', 'it twice');
  return value;
}

/** The first key that an object of the valid JSON `text` has twice: JSON.parse keeps the last and says nothing. */
function findDuplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    // An array holds no keys; its set only keeps the brackets paired.
    if (character === '{' || character === '[') open.push(new Set());
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      let next = i + 1;
      while (' \t\r\n'.includes(text[next] ?? '.')) next++;
      if (text[next] !== ':') continue;
      const key: string = JSON.parse(text.slice(start, i + 1));
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function* encode(name: string, dtype: Dtype, values: Float32Array | Int32Array): Generator<Uint8Array> {
  const step = CHUNK / 4;
  for (let at = 0; at < values.length; at += step) {
    const part = values.subarray(at, at + step);
    const stored = dtype === 'F16' || dtype === 'BF16' ? narrow(name, dtype, part as Float32Array, at) : part;
    yield new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  }
}

function narrow(name: string, dtype: 'F16' | 'BF16', values: Float32Array, first: number): Uint16Array {
  const halves = dtype === 'F16' ? narrowF16(values) : narrowBF16(values);
  const infinity = dtype === 'F16' ? 0x7c00 : 0x7f80;
  const lost = halves.findIndex((half, i) => (half & 0x7fff) === infinity && Number.isFinite(values[i]));
  if (lost < 0) return halves;
  throw new RangeError(
    `writeSafetensors: tensor ${show(name)}: expected finite values within ${dtype}, ` +
      `got ${values[lost]} at element ${first + lost}; write it as F32`,
  );
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

function checkMetadata(file: string, value: unknown): void {
  if (isObject(value) && Object.values(value).every((text) => typeof text === 'string')) return;
  throw invalid(file, METADATA, 'an object of texts', show(value));
}

/** The formats store little-endian; so does every machine Node has prebuilt releases for but IBM's. */
function checkByteOrder(where: string): void {
  if (endianness() === 'LE') return;
  throw new Error(`${where}: expected a little-endian machine, got a big-endian one; use another machine`);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
      throw error;
    },
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

/** The number of elements; an unsafe product stays one, and equals no length. */
const sizeOf = (shape: readonly number[]) =>
  shape.includes(0) ? 0 : shape.reduce((product, dimension) => product * dimension, 1);

/** A value from the file as one short line. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

function invalid(file: string, tensor: string | undefined, expected: string, got: string): Error {
  const place = tensor === undefined ? file : `${file}: tensor ${show(tensor)}`;
  return new Error(`readSafetensors: ${place}: expected ${expected}, got ${got}; fetch or write the file again`);
}
