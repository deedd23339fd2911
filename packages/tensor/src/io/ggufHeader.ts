// What a GGUF file says of itself, before its numbers: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
//   4 bytes   GGUF
//   u32       the version: 2 or 3, which differ in nothing but that 3 allows for big-endian files
//   u64 u64   the number of tensors and of metadata
//   metadata  each a key, a type and a value; a text is a u64 length and UTF-8, an array its type, a u64 count, elements
//   tensors   each a name, u32 number of dimensions, u64 dimensions with the row's length first, type, u64 offset
//   padding   to the alignment (`general.alignment`, or 32), from where the offsets count
//   the rest  the tensors' bytes, each from a multiple of the alignment on
//
// The files come from outside. Everything is read through a small window, so that a count or a length that lies meets
// the end of the file before it takes memory for what is not there; and the data must fill the file, tensor after tensor
// (as llama.cpp wants it too), so that a count too small is seen as well.
import type { FileHandle } from 'node:fs/promises';
import { type GgmlType, ggmlFormats, ggmlType, ggmlTypeName } from './ggmlFormats.js';
import { readInto, show, withFile } from './reading.js';

/** The types of metadata, but for arrays. */
export type GgufScalarType =
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'uint64'
  | 'int64'
  | 'float32'
  | 'float64'
  | 'bool'
  | 'string';

/** An array of numbers in metadata; one of 64-bit integers is a Float64Array of safe integers. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** A value of the metadata with the type the file gives it. A 64-bit integer is a safe one. */
export type GgufValue =
  | { readonly type: Exclude<GgufScalarType, 'bool' | 'string'>; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | {
      readonly type: 'array';
      readonly of: GgufScalarType;
      readonly value: readonly string[] | readonly boolean[] | GgufNumbers;
    };

/** Metadata by key, in the file's order. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** A tensor as the header describes it. */
export interface GgufTensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  /** Row-major: the file's dimensions reversed. */
  readonly shape: readonly number[];
  /** Where in the file its data begin. */
  readonly begin: number;
  /** How many bytes they take. */
  readonly bytes: number;
}

/** What a GGUF file says of itself. */
export interface GgufHeader {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensorInfo[];
}

/** The types' numbers in a file are their places here; a value takes `width` bytes at least. */
export const ggufTypes = [
  { type: 'uint8', width: 1, numbers: Uint8Array },
  { type: 'int8', width: 1, numbers: Int8Array },
  { type: 'uint16', width: 2, numbers: Uint16Array },
  { type: 'int16', width: 2, numbers: Int16Array },
  { type: 'uint32', width: 4, numbers: Uint32Array },
  { type: 'int32', width: 4, numbers: Int32Array },
  { type: 'float32', width: 4, numbers: Float32Array },
  { type: 'bool', width: 1, numbers: Uint8Array },
  { type: 'string', width: 8, numbers: undefined }, // and as many bytes as the eight say
  { type: 'array', width: 12, numbers: undefined }, // and what the twelve say, a type and a count
  { type: 'uint64', width: 8, numbers: BigUint64Array },
  { type: 'int64', width: 8, numbers: BigInt64Array },
  { type: 'float64', width: 8, numbers: Float64Array },
] as const;

type GgufType = (typeof ggufTypes)[number];
type GgufNumberType = Exclude<GgufType, { numbers: undefined }>;

/** Where no `general.alignment` says otherwise. */
const DEFAULT_ALIGNMENT = 32;
export const ALIGNMENT_KEY = 'general.alignment';

export const MAX_KEY = 65535; // bytes, of the specification

const WINDOW = 1 << 16;
// What an entry takes in memory is a multiple of its bytes in the file, so that a file may not have any number of them.
const MOST_ENTRIES = 100_000; // keys or tensors; models have thousands
const MOST_ELEMENTS = 10_000_000; // of an array; no vocabulary has a tenth
const SMALLEST_METADATA = 8 + 4 + 1; // bytes: an empty key, a type, a byte
const SMALLEST_TENSOR = 8 + 4 + 8 + 4 + 8; // bytes: an empty name, one dimension, a type, an offset

/**
 * Reads what a GGUF file says of itself, and checks that it is true of the file: that every tensor's data is where its
 * header says, with nothing between them but padding, and of a type in `GgmlType`.
 *
 * @throws Error naming the file, and the key or tensor where one is to blame, if it cannot be read or is not valid.
 *
 * ```ts
 * const { metadata, tensors } = await readGgufHeader('model.gguf');
 * metadata.get('general.architecture'); // { type: 'string', value: 'llama' }
 * ```
 */
export async function readGgufHeader(file: string): Promise<GgufHeader> {
  return withFile('readGguf', file, (handle, { size }) => readHeader(handle, file, size));
}

/** `readGgufHeader` of an open file of `size` bytes. */
export async function readHeader(handle: FileHandle, file: string, size: number): Promise<GgufHeader> {
  const window = new Window(handle, `readGguf: ${file}`, size);
  const version = await readVersion(window);
  await window.need(16, 'the numbers of tensors and metadata');
  const tensorCount = window.count('tensors', SMALLEST_TENSOR, MOST_ENTRIES);
  const metadataCount = window.count('metadata', SMALLEST_METADATA, MOST_ENTRIES);

  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    window.place = `metadata ${i + 1} of ${metadataCount}`;
    const key = await readText(window, 'its key', MAX_KEY);
    window.place = `key ${show(key)}`;
    if (metadata.has(key)) throw window.invalid('the key once', 'it twice');
    metadata.set(key, await readValue(window));
  }
  const alignment = alignmentOf(metadata);
  if (typeof alignment !== 'number') {
    window.place = `key ${show(ALIGNMENT_KEY)}`;
    throw window.invalid('a power of two as uint32', alignment.got);
  }

  const described = new Map<string, GgufTensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    window.place = `tensor ${i + 1} of ${tensorCount}`;
    const name = await readText(window, 'its name');
    window.place = `tensor ${show(name)}`;
    if (described.has(name)) throw window.invalid('the name once', 'it twice');
    described.set(name, await readTensorInfo(window, name, alignment));
  }
  return { version, metadata, tensors: placed(window, [...described.values()], alignment) };
}

/** The alignment that metadata ask for, or what they have instead of one. */
export function alignmentOf(metadata: GgufMetadata): number | { got: string } {
  const value = metadata.get(ALIGNMENT_KEY);
  if (value === undefined) return DEFAULT_ALIGNMENT;
  if (value.type === 'uint32' && Number.isInteger(Math.log2(value.value))) return value.value;
  return { got: `${show(value.value)} as ${value.type}` };
}

/** The next multiple of `alignment`. */
export const aligned = (position: number, alignment: number) => Math.ceil(position / alignment) * alignment;

/** The tensors with offsets counted from the file's start, once they are seen to fill the file in some order. */
function placed(window: Window, tensors: GgufTensorInfo[], alignment: number): GgufTensorInfo[] {
  const start = aligned(window.position, alignment);
  let end = 0;
  for (const { name, begin, bytes } of tensors.toSorted((a, b) => a.begin - b.begin)) {
    window.place = `tensor ${show(name)}`;
    const from = aligned(end, alignment);
    if (begin !== from) {
      const fault = begin < from ? 'an overlap with the tensor before it' : 'a hole before it';
      throw window.invalid(`its data to begin at ${from}`, `${begin}, ${fault}`);
    }
    end = begin + bytes;
    if (start + end > window.size) {
      throw window.invalid(`${bytes} bytes at ${start + begin}`, `a file that ends at ${window.size}`);
    }
  }
  // The last padding may be missing. Anything more belongs to no tensor, and the header may then be misread altogether.
  window.place = undefined;
  const last = start + aligned(end, alignment);
  if (window.size > last) throw window.invalid(`an end at ${last}, after the last tensor`, `${window.size} bytes`);
  return tensors.map((tensor) => ({ ...tensor, begin: start + tensor.begin }));
}

async function readVersion(window: Window): Promise<number> {
  await window.need(8, 'magic and version');
  const magic = window.take(4);
  const version = window.uint32();
  const name = magic.toString('latin1');
  if (name === 'FUGG' || (name === 'GGUF' && version !== 0 && (version & 0xffff) === 0)) {
    throw window.invalid(
      'a little-endian file',
      'a big-endian one',
      'convert it with gguf_convert_endian.py of gguf-py',
    );
  }
  if (name !== 'GGUF') throw window.invalid('the magic "GGUF"', show(name));
  if (version !== 2 && version !== 3) throw window.invalid('version 2 or 3', `${version}`, 'convert the model again');
  return version;
}

async function readValue(window: Window): Promise<GgufValue> {
  await window.need(4, 'a type');
  const kind = readType(window);
  if (kind.type === 'array') return readArray(window);
  if (kind.type === 'string') return { type: kind.type, value: await readText(window, 'text') };
  await window.need(kind.width, kind.type);
  const [value] = await readNumbers(window, kind, 1);
  return kind.type === 'bool' ? { type: kind.type, value: value === 1 } : { type: kind.type, value: value! };
}

async function readArray(window: Window): Promise<GgufValue> {
  await window.need(12, 'the type and the number of elements');
  const kind = readType(window);
  if (kind.type === 'array') throw window.invalid('an array of scalars or texts', 'an array of arrays');
  const count = window.count('elements', kind.width, MOST_ELEMENTS);
  if (kind.type === 'string') {
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(await readText(window, 'text'));
    return { type: 'array', of: kind.type, value: texts };
  }
  const numbers = await readNumbers(window, kind, count);
  const value = kind.type === 'bool' ? Array.from(numbers, (byte) => byte === 1) : numbers;
  return { type: 'array', of: kind.type, value };
}

/** `count` numbers, which the file is known to hold. */
async function readNumbers(window: Window, kind: GgufNumberType, count: number): Promise<GgufNumbers> {
  const numbers = new kind.numbers(count);
  await window.fill(new Uint8Array(numbers.buffer));
  if (kind.type === 'bool') {
    const wrong = (numbers as Uint8Array).find((byte) => byte > 1);
    if (wrong !== undefined) throw window.invalid('bool 0 or 1', `${wrong}`);
  }
  if (!(numbers instanceof BigUint64Array || numbers instanceof BigInt64Array)) return numbers;
  const safe = new Float64Array(count);
  for (let i = 0; i < count; i++) safe[i] = safeInteger(window, numbers[i]!);
  return safe;
}

async function readTensorInfo(window: Window, name: string, alignment: number): Promise<GgufTensorInfo> {
  await window.need(4, 'the number of dimensions');
  const rank = window.uint32();
  if (rank < 1 || rank > 4) throw window.invalid('1 to 4 dimensions', `${rank}`);
  await window.need(rank * 8 + 12, 'dimensions, type and offset');
  const shape = Array.from({ length: rank }, () => window.uint64()).reverse();
  if (shape.includes(0)) throw window.invalid('dimensions from 1 on', show(shape));
  const code = window.uint32();
  const type = ggmlType(code);
  if (type === undefined) {
    const got = `GGML type ${ggmlTypeName(code)}`;
    throw window.invalid(`a type among ${Object.keys(ggmlFormats).join(', ')}`, got, 'take another quantisation of it');
  }
  const { block, bytes: blockBytes } = ggmlFormats[type];
  if (shape.at(-1)! % block !== 0) {
    throw window.invalid(`rows of whole blocks of ${block} for ${type}`, `a row of ${shape.at(-1)}`);
  }
  const bytes = (shape.reduce((product, dimension) => product * dimension, 1) / block) * blockBytes;
  if (!(bytes <= window.size)) throw window.invalid(`at most ${window.size} bytes`, `${type} ${show(shape)}: ${bytes}`);
  const begin = window.uint64();
  if (begin % alignment !== 0) throw window.invalid(`data at a multiple of ${alignment}`, `${begin}`);
  return { name, type, shape, begin, bytes };
}

function readType(window: Window): GgufType {
  const code = window.uint32();
  return ggufTypes[code] ?? raise(window.invalid(`a type from 0 to ${ggufTypes.length - 1}`, `${code}`));
}

async function readText(window: Window, what: string, most = Infinity): Promise<string> {
  await window.need(8, `the length of ${what}`);
  const length = window.length();
  if (length > most) throw window.invalid(`${what} of at most ${most} bytes`, `${length}`);
  await window.need(length, what);
  return window.text(length, what);
}

function safeInteger(window: Window, value: bigint): number {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : raise(window.invalid('integers within ±(2^53 - 1)', `${value}`));
}

function raise(error: Error): never {
  throw error;
}

// A byte order mark is text here: some tokens are one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A part of the file, moved forward as it is read. `need` makes sure that bytes are there, and it alone waits; what takes
 * them is then plain and fast.
 */
class Window {
  /** What is being read, for errors. */
  place: string | undefined;
  readonly size: number;
  readonly #handle: FileHandle;
  readonly #where: string;
  #bytes = Buffer.alloc(0);
  #start = 0; // where in the file #bytes begin
  #at = 0; // of them have been taken

  constructor(handle: FileHandle, where: string, size: number) {
    this.#handle = handle;
    this.#where = where;
    this.size = size;
  }

  /** Where in the file the next byte is. */
  get position(): number {
    return this.#start + this.#at;
  }

  async need(length: number, what: string): Promise<void> {
    if (this.#bytes.length - this.#at >= length) return;
    const start = this.position;
    const left = this.size - start;
    if (length > left) throw this.invalid(`${length} bytes of ${what}`, `a file that ends after ${left}`);
    const bytes = Buffer.alloc(Math.min(Math.max(length, WINDOW), left));
    await readInto(this.#where, this.#handle, start, bytes);
    this.#bytes = bytes;
    this.#start = start;
    this.#at = 0;
  }

  /** Fills `bytes`, however many; the file is known to hold them. */
  async fill(bytes: Uint8Array): Promise<void> {
    const here = Math.min(bytes.length, this.#bytes.length - this.#at);
    bytes.set(this.take(here));
    if (here === bytes.length) return;
    const rest = bytes.subarray(here);
    await readInto(this.#where, this.#handle, this.position, rest);
    this.#start = this.position + rest.length;
    this.#bytes = this.#bytes.subarray(0, 0);
    this.#at = 0;
  }

  take(length: number): Buffer {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(length: number, what: string): string {
    const bytes = this.take(length);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.invalid(`${what} in UTF-8`, `the bytes ${show(bytes.toString('hex', 0, 51))}`);
    }
  }

  uint32(): number {
    this.#at += 4;
    return this.#bytes.readUInt32LE(this.#at - 4);
  }

  /** A u64 that is only compared with what the file holds: rounded where it is no safe integer, it is far more anyway. */
  length(): number {
    this.#at += 8;
    return Number(this.#bytes.readBigUInt64LE(this.#at - 8));
  }

  uint64(): number {
    this.#at += 8;
    return safeInteger(this, this.#bytes.readBigUInt64LE(this.#at - 8));
  }

  /** A number of things of at least `width` bytes, not above `limit`, and as many as the rest of the file can hold. */
  count(what: string, width: number, limit: number): number {
    const count = this.length();
    const most = Math.min(limit, Math.floor((this.size - this.position) / width));
    if (count > most) throw this.invalid(`at most ${most} ${what}`, `${count}`);
    return count;
  }

  invalid(expected: string, got: string, remedy = 'fetch or write the file again'): Error {
    const place = this.place === undefined ? this.#where : `${this.#where}: ${this.place}`;
    return new Error(`${place}: expected ${expected}, got ${got}; ${remedy}`);
  }
}
