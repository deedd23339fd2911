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
import type { FileHandle } from 'node:fs/promises';
import { widenBF16, widenF16 } from './halfFloat.js';
import { isSameFile, readInto, show, withFile } from './reading.js';
import {
  CHUNK,
  type Dtype,
  dtypes,
  invalid,
  isCounts,
  isObject,
  MAX_HEADER,
  METADATA,
  parseObject,
  READER,
  sizeOf,
} from './safetensorsFormat.js';

/** A tensor as read. */
export interface StoredTensor {
  /** How the file stores it. */
  readonly dtype: Dtype;
  readonly shape: number[];
  /** Row-major. F16 and BF16 are widened, exactly; I64 must fit in 32 bits; BOOL is 0 or 1. */
  readonly values: Float32Array | Int32Array;
}

/** A stored tensor whose values are not read yet. */
export interface TensorInfo {
  /** How the file stores it. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The file that holds it. */
  readonly file: string;
}

/** Stored tensors: what there is, and a way to the values of each. Nothing stays open between reads. */
export interface OpenSafetensors {
  /** The file, or the index of several. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * The values of a tensor, in `into` where that is given: a Float32Array of a float tensor's size.
   *
   * @throws Error naming the file and the tensor for values that do not fit, and if the file changed since it was opened.
   */
  read(name: string, into?: Float32Array): Promise<Float32Array | Int32Array>;
}

interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements. */
  readonly size: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads the header of a safetensors file, and lets the tensors be read one after another.
 *
 * @throws Error naming the file, and the tensor where one is to blame, if the file cannot be read or is not valid.
 *
 * ```ts
 * const { tensors, read } = await openSafetensors('model.safetensors');
 * for (const name of tensors.keys()) console.log(name, (await read(name)).length);
 * ```
 */
export async function openSafetensors(file: string): Promise<OpenSafetensors> {
  const opened = await withFile(READER, file, async (handle, stats) => ({
    ...(await readHeader(handle, file, stats.size)),
    stats,
  }));
  const entries = new Map(opened.entries.map((entry) => [entry.name, entry]));
  return {
    path: file,
    tensors: new Map(opened.entries.map(({ name, dtype, shape }) => [name, { dtype, shape, file }])),
    read(name, into) {
      const entry = entries.get(name);
      if (!entry) throw new RangeError(`${inFile(file)}: expected the name of a tensor, got ${show(name)}`);
      return withFile(READER, file, (handle, stats) => {
        if (!isSameFile(stats, opened.stats))
          throw invalid(file, name, 'the file as it was opened', 'one that has changed');
        return readValues(handle, file, entry, opened.dataStart, into);
      });
    },
  };
}

/**
 * Reads a safetensors file, tensor by tensor, so that it is in memory once.
 *
 * @throws Error as `openSafetensors` and its `read` do.
 *
 * ```ts
 * const { 'model.norm.weight': norm } = await readSafetensors('model.safetensors');
 * norm?.shape; // [896]
 * ```
 */
export async function readSafetensors(file: string): Promise<Record<string, StoredTensor>> {
  return readAll(await openSafetensors(file));
}

/** Every tensor of a file, or of several. */
export async function readAll({ tensors, read }: OpenSafetensors): Promise<Record<string, StoredTensor>> {
  const all: [string, StoredTensor][] = [];
  for (const [name, { dtype, shape }] of tensors)
    all.push([name, { dtype, shape: [...shape], values: await read(name) }]);
  return Object.fromEntries(all);
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

async function readValues(
  handle: FileHandle,
  file: string,
  { name, dtype, size, begin, end }: Entry,
  dataStart: number,
  into: Float32Array | undefined,
): Promise<Float32Array | Int32Array> {
  const values = dtypes[dtype].kind === 'integer' ? new Int32Array(size) : (into ?? new Float32Array(size));
  if (values.length !== size) {
    throw new RangeError(
      `readSafetensors: into: expected an array of ${size} for ${name}, got one of ${values.length}`,
    );
  }
  const inPlace = dtype === 'F32' || dtype === 'I32';
  const step = Math.min(CHUNK, end - begin);
  const chunk = inPlace ? undefined : new Uint8Array(step);
  for (let at = begin; at < end; at += step) {
    const length = Math.min(step, end - at);
    if (inPlace) {
      await readInto(
        inFile(file),
        handle,
        dataStart + at,
        new Uint8Array(values.buffer, values.byteOffset + at - begin, length),
      );
    } else {
      await readInto(inFile(file), handle, dataStart + at, chunk!.subarray(0, length));
      const first = (at - begin) / dtypes[dtype].bytes;
      const part = values.subarray(first, first + length / dtypes[dtype].bytes);
      decode(file, name, dtype, chunk!.buffer, part);
    }
  }
  return values;
}

/** Decodes as many elements of `buffer` as `values` takes. */
function decode(
  file: string,
  name: string,
  dtype: Exclude<Dtype, 'F32' | 'I32'>,
  buffer: ArrayBuffer,
  values: Float32Array | Int32Array,
): void {
  const { length } = values;
  switch (dtype) {
    case 'F16':
      widenF16(new Uint16Array(buffer, 0, length), values as Float32Array);
      break;
    case 'BF16':
      widenBF16(new Uint16Array(buffer, 0, length), values as Float32Array);
      break;
    case 'U8':
      values.set(new Uint8Array(buffer, 0, length));
      break;
    case 'BOOL': {
      const bytes = new Uint8Array(buffer, 0, length);
      const wrong = bytes.find((byte) => byte > 1);
      if (wrong !== undefined) throw invalid(file, name, 'BOOL values 0 or 1', `${wrong}`);
      values.set(bytes);
      break;
    }
    case 'I64':
      new BigInt64Array(buffer, 0, length).forEach((value, i) => {
        if (BigInt.asIntN(32, value) !== value) throw invalid(file, name, 'I64 values that fit in 32 bits', `${value}`);
        values[i] = Number(value);
      });
  }
}

const inFile = (file: string) => `${READER}: ${file}`;

export async function readBytes(handle: FileHandle, file: string, position: number, length: number) {
  const bytes = new Uint8Array(length);
  await readInto(inFile(file), handle, position, bytes);
  return bytes;
}

function checkMetadata(file: string, value: unknown): void {
  if (isObject(value) && Object.values(value).every((text) => typeof text === 'string')) return;
  throw invalid(file, METADATA, 'an object of texts', show(value));
}
