// GGUF out: metadata as they are given, tensors in F32, F16 or Q8_0. `ggufHeader.ts` tells of the file's layout.
import { writeFileAtomic } from './files.js';
import { encodeQ8_0, ggmlFormats } from './ggmlFormats.js';
import {
  ALIGNMENT_KEY,
  aligned,
  alignmentOf,
  type GgufMetadata,
  type GgufScalarType,
  type GgufValue,
  ggufTypes,
  MAX_KEY,
} from './ggufHeader.js';
import { narrowTensor } from './halfFloat.js';
import { checkByteOrder, show } from './reading.js';

/** A tensor to write; `values` may be made only when it is its turn, so that not all of them are in memory. */
export interface GgufTensor {
  readonly shape: readonly number[];
  readonly type: 'F32' | 'F16' | 'Q8_0';
  readonly values: Float32Array | (() => Promise<Float32Array>);
}

const MAX_NAME = 63; // bytes; llama.cpp refuses 64, GGML_MAX_NAME of ggml.h, which counts a final zero
const CHUNK = 1 << 20; // values; a multiple of every block's

/**
 * Writes a GGUF file of version 3, at once and whole (`writeFileAtomic`), tensor by tensor. Metadata and tensors keep
 * their order, and equal input gives equal bytes; tensors begin at multiples of 32 bytes, or of `general.alignment`.
 *
 * F16 rounds to nearest, ties to even. Q8_0 stores, for each 32 values of a row, d = max|x| / 127 and x / d as integers:
 * the bytes are gguf-py's. A file with Q8_0 should say `general.quantization_version` 2.
 *
 * @throws RangeError naming the key or tensor: if metadata do not fit their type, a name is longer than 63 bytes, a shape
 * is not of 1 to 4 dimensions or does not fit its values, a row of Q8_0 is no multiple of 32, or a finite value has no
 * finite one in F16 or Q8_0. Error if the file cannot be written. The file is then as it was.
 *
 * ```ts
 * const metadata = new Map([['general.architecture', { type: 'string', value: 'llama' } as const]]);
 * const weight = { shape: [2, 32], type: 'Q8_0', values: new Float32Array(64) } as const;
 * await writeGguf('model.gguf', { metadata, tensors: { 'output.weight': weight } });
 * ```
 */
export async function writeGguf(
  file: string,
  content: { readonly metadata: GgufMetadata; readonly tensors: Readonly<Record<string, GgufTensor>> },
): Promise<void> {
  checkByteOrder('writeGguf');
  const alignment = alignmentOf(content.metadata);
  if (typeof alignment !== 'number') throw refused(inKey(ALIGNMENT_KEY), 'a power of two as uint32', alignment.got);
  const metadata = Array.from(content.metadata, ([key, value]) => [encodeKey(key), ...encodeValue(key, value)]);

  let offset = 0;
  const tensors = Object.entries(content.tensors).map(([name, tensor]) => {
    const bytes = checkTensor(name, tensor);
    const info = encodeInfo(name, tensor, offset);
    offset += aligned(bytes, alignment);
    return { name, tensor, bytes, info };
  });
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(3),
    uint64(tensors.length),
    uint64(metadata.length),
    ...metadata.flat(),
    ...tensors.map(({ info }) => info),
  ]);
  await writeFileAtomic(
    file,
    (async function* () {
      yield header;
      yield padding(header.length, alignment);
      for (const { name, tensor, bytes } of tensors) {
        yield* encodeTensor(name, tensor);
        yield padding(bytes, alignment);
      }
    })(),
  );
}

async function* encodeTensor(name: string, tensor: GgufTensor): AsyncGenerator<Uint8Array> {
  const values = typeof tensor.values === 'function' ? await tensor.values() : tensor.values;
  checkLength(name, tensor.shape, values.length);
  for (let first = 0; first < values.length; first += CHUNK) {
    const stored = encode(inTensor(name), tensor.type, values.subarray(first, first + CHUNK), first);
    yield new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  }
}

function encode(where: string, type: GgufTensor['type'], values: Float32Array, first: number) {
  switch (type) {
    case 'F32':
      return values;
    case 'F16':
      return narrowTensor(where, type, values, first);
    case 'Q8_0':
      return encodeQ8_0(where, values, first);
  }
}

/** The tensor's bytes in the file. */
function checkTensor(name: string, { shape, type, values }: GgufTensor): number {
  const where = inTensor(name);
  const length = Buffer.byteLength(name);
  if (length < 1 || length > MAX_NAME) throw refused(where, `a name of 1 to ${MAX_NAME} bytes`, `${length}`);
  if (type !== 'F32' && type !== 'F16' && type !== 'Q8_0') throw refused(where, 'type F32, F16 or Q8_0', show(type));
  const dimension = (item: unknown) => Number.isSafeInteger(item) && (item as number) > 0;
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > 4 || !shape.every(dimension)) {
    throw refused(where, 'a shape of 1 to 4 integers from 1 on', show(shape));
  }
  const { block, bytes } = ggmlFormats[type];
  if (shape.at(-1) % block !== 0) {
    throw refused(where, `rows of a multiple of ${block} for ${type}`, `${shape.at(-1)}`, 'write it as F16 or F32');
  }
  if (typeof values !== 'function') checkLength(name, shape, values.length);
  return (sizeOf(shape) / block) * bytes;
}

function checkLength(name: string, shape: readonly number[], length: number): void {
  if (sizeOf(shape) !== length)
    throw refused(inTensor(name), `${sizeOf(shape)} values for ${show(shape)}`, `${length}`);
}

function encodeInfo(name: string, { shape, type }: GgufTensor, offset: number): Buffer {
  return Buffer.concat([
    text(inTensor(name), name),
    uint32(shape.length),
    ...shape.map(uint64).reverse(),
    uint32(ggmlFormats[type].code),
    uint64(offset),
  ]);
}

function encodeKey(key: string): Buffer {
  const length = Buffer.byteLength(key);
  if (length > MAX_KEY) throw refused(inKey(key), `a key of at most ${MAX_KEY} bytes`, `${length}`);
  return text(inKey(key), key);
}

function encodeValue(key: string, value: GgufValue): Buffer[] {
  const where = inKey(key);
  if (value.type !== 'array')
    return [typeNumber(where, value.type), ...encodeElements(where, value.type, [value.value])];
  if ((value.of as string) === 'array') throw refused(where, 'an array of scalars or texts', 'an array of arrays');
  const head = [typeNumber(where, 'array'), typeNumber(where, value.of), uint64(value.value.length)];
  return [...head, ...encodeElements(where, value.of, value.value)];
}

function encodeElements(where: string, type: GgufScalarType, values: ArrayLike<number | string | boolean>): Buffer[] {
  if (type === 'string') return Array.from(values, (value) => text(where, value));
  const list = Array.from(values);
  const wrong = list.findIndex((value) => !fits(type, value));
  if (wrong >= 0) throw refused(where, type, show(list[wrong]));
  const { numbers } = ggufTypes.find((known) => known.type === type)!;
  const stored = type === 'uint64' || type === 'int64' ? list.map((value) => BigInt(value)) : list.map(Number);
  return [Buffer.from(new (numbers as new (values: (number | bigint)[]) => Uint8Array)(stored).buffer)];
}

const limits = {
  uint8: [0, 2 ** 8 - 1],
  int8: [-(2 ** 7), 2 ** 7 - 1],
  uint16: [0, 2 ** 16 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  uint32: [0, 2 ** 32 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
} as const;

function fits(type: Exclude<GgufScalarType, 'string'>, value: unknown): boolean {
  if (type === 'bool') return typeof value === 'boolean';
  if (typeof value !== 'number') return false;
  if (type === 'float64') return true;
  if (type === 'float32') return Number.isFinite(Math.fround(value)) || !Number.isFinite(value);
  return Number.isInteger(value) && value >= limits[type][0] && value <= limits[type][1];
}

function typeNumber(where: string, type: GgufScalarType | 'array'): Buffer {
  const code = ggufTypes.findIndex((known) => known.type === type);
  if (code < 0) throw refused(where, `a type among ${ggufTypes.map((known) => known.type).join(', ')}`, show(type));
  return uint32(code);
}

function text(where: string, value: unknown): Buffer {
  // Half a surrogate pair has no UTF-8: it would be written as U+FFFD.
  if (typeof value !== 'string' || /\p{Surrogate}/u.test(value)) throw refused(where, 'well-formed text', show(value));
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const padding = (length: number, alignment: number) => Buffer.alloc(aligned(length, alignment) - length);
const sizeOf = (shape: readonly number[]) => shape.reduce((product, dimension) => product * dimension, 1);
const inKey = (key: string) => `writeGguf: key ${show(key)}`;
const inTensor = (name: string) => `writeGguf: tensor ${show(name)}`;

function refused(where: string, expected: string, got: string, remedy = 'give what GGUF can hold'): RangeError {
  return new RangeError(`${where}: expected ${expected}, got ${got}; ${remedy}`);
}
