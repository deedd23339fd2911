// The fixtures are gguf-py's: reference/gguf_fixtures.py.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ggmlFormats } from './ggmlFormats.js';
import { readGguf } from './gguf.js';
import { type GgufValue, readGgufHeader } from './ggufHeader.js';
import { readSafetensors } from './safetensors.js';

const fixture = (name: string) => join(import.meta.dirname, '__fixtures__', name);
let directory = '';
let count = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'soft-tokens-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));
const put = async (bytes: Uint8Array) => {
  const file = join(directory, `${count++}.gguf`);
  await writeFile(file, bytes);
  return file;
};

// A GGUF file, piece by piece.
const u8 = (value: number) => Buffer.of(value);
const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number | bigint) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string | Uint8Array) => Buffer.concat([u64(Buffer.from(value).length), Buffer.from(value)]);
const head = (tensors: number | bigint, metadata: number | bigint, version = 3) =>
  Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensors), u64(metadata)]);
const entry = (key: string, type: number, ...value: Uint8Array[]) => Buffer.concat([text(key), u32(type), ...value]);
const array = (key: string, of: number, size: number | bigint, ...values: Uint8Array[]) =>
  entry(key, 9, u32(of), u64(size), ...values);
const info = (name: string, dimensions: (number | bigint)[], type: number, offset: number | bigint) =>
  Buffer.concat([text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)]);
/** Header and infos, padded, then as many bytes of data. */
const withData = (parts: Uint8Array[], data: number, alignment = 32) => {
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc(-header.length & (alignment - 1)), Buffer.alloc(data)]);
};
const one = (dimensions: (number | bigint)[], type: number, data: number, offset: number | bigint = 0) =>
  withData([head(1, 0), info('w', dimensions, type, offset)], data);
const two = (offset: number, data: number) =>
  withData([head(2, 0), info('v', [2], 0, 0), info('w', [2], 0, offset)], data);
const meta = (...entries: Uint8Array[]) => Buffer.concat([head(0, entries.length), ...entries]);

describe('against gguf-py', () => {
  test('every number format, to the last bit', async () => {
    const { header, tensors } = await readGguf(fixture('formats.gguf'));
    const expected = await readSafetensors(fixture('formats.safetensors'));
    expect(Object.keys(tensors).sort()).toEqual(Object.keys(ggmlFormats).sort());
    expect(header.tensors.map(({ type }) => type).sort()).toEqual(Object.keys(ggmlFormats).sort());
    for (const [name, { shape, values }] of Object.entries(tensors)) {
      expect(shape, name).toEqual(expected[name]!.shape);
      const want = expected[name]!.values as Float32Array;
      const [gotBits, wantBits] = [new Uint32Array(values.buffer), new Uint32Array(want.buffer)];
      const wrong = values.findIndex((value, i) => {
        // An infinite scale times zero: which NaN comes out is the processor's choice.
        return gotBits[i] !== wantBits[i] && !(Number.isNaN(value) && Number.isNaN(want[i]));
      });
      if (wrong >= 0) expect.fail(`${name}: element ${wrong}: expected ${want[wrong]}, got ${values[wrong]}`);
      expect(values.length).toBe(want.length);
    }
  });

  test('metadata of every type', async () => {
    const { version, metadata } = await readGgufHeader(fixture('formats.gguf'));
    expect(version).toBe(3);
    const array = (of: string, value: unknown) => ({ type: 'array', of, value });
    expect(Object.fromEntries(metadata)).toEqual({
      'general.architecture': { type: 'string', value: 'test' },
      'test.uint8': { type: 'uint8', value: 255 },
      'test.int8': { type: 'int8', value: -128 },
      'test.uint16': { type: 'uint16', value: 65535 },
      'test.int16': { type: 'int16', value: -32768 },
      'test.uint32': { type: 'uint32', value: 2 ** 32 - 1 },
      'test.int32': { type: 'int32', value: -(2 ** 31) },
      'test.uint64': { type: 'uint64', value: Number.MAX_SAFE_INTEGER },
      'test.int64': { type: 'int64', value: Number.MIN_SAFE_INTEGER },
      'test.float32': { type: 'float32', value: Math.fround(1e-5) },
      'test.float64': { type: 'float64', value: 1e-5 },
      'test.bool': { type: 'bool', value: true },
      'test.false': { type: 'bool', value: false },
      'test.string': { type: 'string', value: 'naïve ▁中 🙂 \ufeff\0' },
      'test.uint8s': array('uint8', Uint8Array.of(0, 255)),
      'test.int8s': array('int8', Int8Array.of(-128, 127)),
      'test.uint16s': array('uint16', Uint16Array.of(65535)),
      'test.int16s': array('int16', Int16Array.of(-32768)),
      'test.uint32s': array('uint32', Uint32Array.of(2 ** 32 - 1, 1)),
      'test.int32s': array('int32', Int32Array.of(-1, 2)),
      'test.uint64s': array('uint64', Float64Array.of(Number.MAX_SAFE_INTEGER, 0)),
      'test.int64s': array('int64', Float64Array.of(Number.MIN_SAFE_INTEGER)),
      'test.float32s': array('float32', Float32Array.of(0.1, -0)),
      'test.float64s': array('float64', Float64Array.of(0.1)),
      'test.bools': array('bool', [true, false, true]),
      'test.strings': array('string', ['', '\ufeff', 'a b', 'Ġthe', '\n']),
    });
  });
});

describe('readGguf', () => {
  test('golden: a block by hand, dimensions the other way round, tensors in any order, no padding at the end', async () => {
    const q8 = Buffer.concat([Buffer.of(0x00, 0xb8), Buffer.from(Array.from({ length: 32 }, (_, i) => i - 16))]); // d -0.5
    const f32 = Buffer.from(Float32Array.of(1, -2, 3, -4, 5, -6).buffer);
    const bytes = Buffer.concat([
      withData([head(2, 0, 2), info('b', [3, 2], 0, 64), info('a', [32, 1, 1], 8, 0)], 0),
      q8,
      Buffer.alloc(30),
      f32,
    ]);
    const { header, tensors } = await readGguf(await put(bytes));
    expect(tensors).toEqual({
      a: { shape: [1, 1, 32], values: Float32Array.from({ length: 32 }, (_, i) => -0.5 * (i - 16)) },
      b: { shape: [2, 3], values: Float32Array.of(1, -2, 3, -4, 5, -6) },
    });
    expect(header).toEqual({
      version: 2,
      metadata: new Map(),
      tensors: [
        { name: 'b', type: 'F32', shape: [2, 3], begin: bytes.length - 24, bytes: 24 },
        { name: 'a', type: 'Q8_0', shape: [1, 1, 32], begin: bytes.length - 24 - 64, bytes: 34 },
      ],
    });
  });

  test('an alignment of its own', async () => {
    const bytes = withData([head(1, 1), entry('general.alignment', 4, u32(256)), info('w', [1], 0, 0)], 4, 256);
    bytes.writeFloatLE(7, 256);
    const { tensors } = await readGguf(await put(bytes));
    expect(tensors).toEqual({ w: { shape: [1], values: Float32Array.of(7) } });
  });

  test('texts and arrays longer than the window, and tensors longer than one read', async () => {
    const long = 'é'.repeat(50_000);
    const texts = Array.from({ length: 9000 }, (_, i) => `token ${i}`);
    const numbers = Float32Array.from({ length: 40_000 }, (_, i) => i);
    const rows = 70_001; // of 64 values in 40 bytes: a little more than two thirds of 4 MiB, 1.5 times that of F32
    const bytes = withData(
      [
        head(2, 4),
        entry('long', 8, text(long)),
        array('texts', 8, texts.length, ...texts.map((value) => text(value))),
        array('numbers', 6, numbers.length, Buffer.from(numbers.buffer)),
        entry('after', 7, u8(1)),
        info('w', [64, rows], 3, 0),
        info('f', [rows * 20], 0, rows * 40 + (-(rows * 40) & 31)),
      ],
      rows * 40 + (-(rows * 40) & 31) + rows * 80,
    );
    const start = bytes.length - (rows * 40 + (-(rows * 40) & 31) + rows * 80);
    for (let block = 0; block < rows * 2; block++) {
      bytes.writeUInt16LE(0x3c00, start + block * 20); // d 1
      bytes.writeUInt8(block & 255, start + block * 20 + 4);
    }
    const floats = new Float32Array(rows * 20).map((_, i) => i);
    bytes.set(new Uint8Array(floats.buffer), bytes.length - rows * 80);
    const { header, tensors } = await readGguf(await put(bytes));
    expect(header.metadata.get('long')!.value).toBe(long);
    expect(header.metadata.get('texts')!.value).toEqual(texts);
    expect(header.metadata.get('numbers')!.value).toEqual(numbers);
    expect(header.metadata.get('after')!.value).toBe(true);
    const want = new Float32Array(rows * 64);
    for (let block = 0; block < rows * 2; block++) {
      want[block * 32] = block & 15;
      want[block * 32 + 16] = (block & 255) >> 4;
    }
    expect(Buffer.from(tensors.w!.values.buffer).equals(Buffer.from(want.buffer))).toBe(true);
    expect(Buffer.from(tensors.f!.values.buffer).equals(Buffer.from(floats.buffer))).toBe(true);
  });

  const values: [string, GgufValue, Uint8Array][] = [
    ['an empty array', { type: 'array', of: 'string', value: [] }, array('k', 8, 0)],
    ['no numbers', { type: 'array', of: 'float32', value: new Float32Array(0) }, array('k', 6, 0)],
    ['an empty text', { type: 'string', value: '' }, entry('k', 8, text(''))],
  ];
  test.each(values)('reads %s', async (_, value, bytes) => {
    const { metadata } = await readGgufHeader(await put(meta(bytes)));
    expect(metadata).toEqual(new Map([['k', value]]));
  });

  const far = 2 ** 40;
  test.each([
    ['an empty file', Buffer.alloc(0), /8 bytes of magic and version, got a file that ends after 0/],
    ['another file', Buffer.from('PK\x03\x04 and so on'), /the magic "GGUF", got "PK/],
    ['a big-endian file', Buffer.from('4747554600000003', 'hex'), /little-endian file, got a big-endian one/],
    ['a big-endian magic', Buffer.from('4655474700000003', 'hex'), /little-endian file, got a big-endian one/],
    ['version 1', head(0, 0, 1), /version 2 or 3, got 1/],
    ['version 4', head(0, 0, 4), /version 2 or 3, got 4/],
    ['no counts', head(0, 0).subarray(0, 20), /16 bytes of the numbers of tensors and metadata/],
    ['too many tensors', meta().fill(0xff, 8, 15), /at most 0 tensors, got 72057594037927940/],
    ['too many metadata', Buffer.concat([head(0, far), Buffer.alloc(26)]), /at most 2 metadata, got 1099511627776/],
    [
      'more metadata than any model has',
      Buffer.concat([head(0, 100_001), Buffer.alloc(14 * 100_001)]),
      /at most 100000 metadata, got 100001/,
    ],
    [
      'more tensors than any model has',
      Buffer.concat([head(100_001, 0), Buffer.alloc(32 * 100_001)]),
      /at most 100000 tensors, got 100001/,
    ],
    [
      'more metadata than there are',
      Buffer.concat([head(0, 2), entry('k', 4, u32(1)), Buffer.alloc(9)]),
      /key "": expected 4 bytes of a type, got a file that ends after 1/,
    ],
    [
      'a key that is too long',
      meta(Buffer.concat([u64(far), Buffer.alloc(9)])),
      /metadata 1 of 1: .*at most 65535 bytes, got 1099511627776/,
    ],
    [
      'a key beyond the end',
      meta(Buffer.concat([u64(99), Buffer.alloc(9)])),
      /metadata 1 of 1: .*99 bytes of its key, got a file that ends after 9/,
    ],
    ['a key twice', meta(entry('k', 4, u32(1)), entry('k', 4, u32(1))), /key "k": expected the key once, got it twice/],
    [
      'a key that is no UTF-8',
      meta(Buffer.concat([text(Uint8Array.of(0xc3, 0x28)), u32(4), u32(1)])),
      /its key in UTF-8, got the bytes "c328"/,
    ],
    ['an unknown type', meta(entry('k', 13, u32(1))), /key "k": expected a type from 0 to 12, got 13/],
    [
      'a number cut short',
      meta(entry('k', 10, u32(1))),
      /key "k": expected 8 bytes of uint64, got a file that ends after 4/,
    ],
    ['a bool of 2', meta(entry('k', 7, u8(2))), /key "k": expected bool 0 or 1, got 2/],
    ['bools of 255', meta(array('k', 7, 3, Buffer.of(0, 1, 255))), /key "k": expected bool 0 or 1, got 255/],
    ['an unsafe uint64', meta(entry('k', 10, u64(2n ** 53n))), /key "k": .*got 9007199254740992/],
    ['an unsafe int64', meta(entry('k', 11, u64(2n ** 63n))), /key "k": .*got -9223372036854775808/],
    ['unsafe uint64s', meta(array('k', 10, 2, u64(1), u64(2n ** 64n - 1n))), /key "k": .*got 18446744073709551615/],
    [
      'a text beyond the end',
      meta(entry('k', 8, u64(far), Buffer.alloc(9))),
      /key "k": expected 1099511627776 bytes of text, got a file that ends after 9/,
    ],
    [
      'a text that is no UTF-8',
      meta(entry('k', 8, text(Uint8Array.of(0x61, 0xff)))),
      /key "k": expected text in UTF-8, got the bytes "61ff"/,
    ],
    [
      'half a surrogate pair',
      meta(entry('k', 8, text(Buffer.from('eda080', 'hex')))),
      /key "k": expected text in UTF-8/,
    ],
    [
      'an array beyond the end',
      meta(array('k', 6, far, Buffer.alloc(9))),
      /key "k": expected at most 2 elements, got 1099511627776/,
    ],
    ['a length of 2^64 - 1', meta(array('k', 0, 2n ** 64n - 1n, Buffer.alloc(9))), /at most 9 elements/],
    ['texts beyond the end', meta(array('k', 8, far, Buffer.alloc(16))), /key "k": expected at most 2 elements/],
    [
      'a text of an array beyond the end',
      meta(array('k', 8, 2, text('a'), u64(far))),
      /key "k": expected 1099511627776 bytes of text/,
    ],
    [
      'an array in an array',
      meta(array('k', 9, 1, u32(0), u64(1), u8(1))),
      /key "k": expected an array of scalars or texts, got an array of arrays/,
    ],
    [
      'an alignment that is no power of two',
      meta(entry('general.alignment', 4, u32(48))),
      /"general.alignment": expected a power of two as uint32, got 48 as uint32/,
    ],
    ['an alignment of zero', meta(entry('general.alignment', 4, u32(0))), /got 0 as uint32/],
    ['an alignment of another type', meta(entry('general.alignment', 10, u64(32))), /got 32 as uint64/],
    ['more tensors than there are', withData([head(2, 0), info('w', [8], 0, 0)], 32), /tensor 2 of 2|tensor "": /],
    [
      'fewer tensors than there are',
      withData([head(1, 0), info('v', [1], 0, 0), info('w', [32], 0, 32)], 160),
      /an end at \d+, after the last tensor/,
    ],
    [
      'a tensor twice',
      withData([head(2, 0), info('w', [1], 0, 0), info('w', [1], 0, 32)], 36),
      /tensor "w": expected the name once, got it twice/,
    ],
    ['a tensor without dimensions', one([], 0, 8), /tensor "w": expected 1 to 4 dimensions, got 0/],
    ['five dimensions', one([1, 1, 1, 1, 1], 0, 4), /tensor "w": expected 1 to 4 dimensions, got 5/],
    ['a dimension of zero', one([4, 0], 0, 0), /tensor "w": expected dimensions from 1 on, got \[0,4\]/],
    ['an unsafe dimension', one([2n ** 63n], 0, 4), /tensor "w": .*got 9223372036854775808/],
    [
      'a shape that overflows',
      one([2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52], 0, 4),
      /tensor "w": expected at most \d+ bytes, got F32 \[/,
    ],
    [
      'a shape beyond the file',
      one([far], 0, 4),
      /tensor "w": expected at most 68 bytes, got F32 \[1099511627776\]: 4398046511104/,
    ],
    ['a type we have not', one([256], 10, 84), /tensor "w": expected a type among F32, .*got GGML type Q2_K/],
    ['a type nobody has', one([256], 5, 84), /tensor "w": .*got GGML type number 5/],
    [
      'a row of part of a block',
      one([48, 2], 2, 54),
      /tensor "w": expected rows of whole blocks of 32 for Q4_0, got a row of 48/,
    ],
    ['data not aligned', two(16, 24), /tensor "w": expected data at a multiple of 32, got 16/],
    ['an unsafe offset', one([1], 0, 4, 2n ** 63n), /tensor "w": .*got 9223372036854775808/],
    ['an overlap', two(0, 40), /tensor "w": expected its data to begin at 32, got 0, an overlap/],
    ['a hole', two(64, 72), /tensor "w": expected its data to begin at 32, got 64, a hole/],
    ['a hole at the start', one([1], 0, 64, 32), /tensor "w": expected its data to begin at 0, got 32, a hole/],
    ['data missing', two(32, 39), /tensor "w": expected 8 bytes at 128, got a file that ends at 135/],
    [
      'all data missing',
      Buffer.concat([head(1, 0), info('w', [1], 0, 0)]),
      /tensor "w": expected 4 bytes at 64, got a file that ends at 57/,
    ],
    ['data of no tensor', two(32, 65), /expected an end at 160, after the last tensor, got 161 bytes/],
  ])('refuses %s', async (_, bytes, message) => {
    const file = await put(bytes);
    for (const read of [readGguf, readGgufHeader]) {
      const error: Error = await read(file).then(
        () => expect.fail('it was read'),
        (error) => error,
      );
      expect(error.message).toMatch(message);
      expect(error.message).toContain(`readGguf: ${file}: `);
    }
  });

  test('refuses what is no file', async () => {
    await expect(readGguf(join(directory, 'none'))).rejects.toThrow(/expected a file at .*none, got ENOENT/);
    await expect(readGgufHeader(directory)).rejects.toThrow(/expected a file, got something else/);
  });

  test('names are only names', async () => {
    const bytes = withData([head(1, 1), entry('__proto__', 7, u8(1)), info('__proto__', [1], 0, 0)], 4);
    const { header, tensors } = await readGguf(await put(bytes));
    expect([...header.metadata]).toEqual([['__proto__', { type: 'bool', value: true }]]);
    expect(Object.entries(tensors)).toEqual([['__proto__', { shape: [1], values: Float32Array.of(0) }]]);
  });
});
