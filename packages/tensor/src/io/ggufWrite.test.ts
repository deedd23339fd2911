import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gguf as parseElsewhere } from '@huggingface/gguf';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readGguf } from './gguf.js';
import type { GgufMetadata, GgufScalarType, GgufValue } from './ggufHeader.js';
import { type GgufTensor, writeGguf } from './ggufWrite.js';

const fixture = join(import.meta.dirname, '__fixtures__', 'written.gguf'); // by reference/gguf_fixtures.py
let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'soft-tokens-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const none: GgufMetadata = new Map();
const f32 = (...values: number[]) =>
  ({ shape: [values.length], type: 'F32', values: Float32Array.from(values) }) as const;
const q8 = (values: Float32Array) => ({ shape: [values.length], type: 'Q8_0', values }) as const;

describe('writeGguf', () => {
  test('the bytes that gguf-py writes: metadata of every type, F32, F16, Q8_0', async () => {
    const { header, tensors } = await readGguf(fixture);
    const { values, odd } = tensors as Record<string, { shape: number[]; values: Float32Array }>;
    const file = join(directory, 'written.gguf');
    await writeGguf(file, {
      metadata: header.metadata,
      tensors: {
        values: { ...values!, type: 'F32' },
        'values.F16': { ...values!, type: 'F16', values: async () => values!.values },
        odd: { ...odd!, type: 'F32' },
        'values.Q8_0': { ...values!, type: 'Q8_0', values: async () => values!.values },
      },
    });
    const [got, want] = [await readFile(file), await readFile(fixture)];
    const wrong = got.findIndex((byte, i) => byte !== want[i]);
    if (wrong >= 0) expect.fail(`byte ${wrong}: expected ${want[wrong]}, got ${got[wrong]}`);
    expect(got.length).toBe(want.length);
  });

  test('another reader finds the same metadata and tensors: @huggingface/gguf', async () => {
    const file = join(directory, 'elsewhere.gguf');
    const metadata = new Map<string, GgufValue>([
      ['general.architecture', { type: 'string', value: 'llama' }],
      ['general.quantization_version', { type: 'uint32', value: 2 }],
      ['llama.block_count', { type: 'uint32', value: 3 }],
      ['llama.context_length', { type: 'uint64', value: 2 ** 40 }],
      ['llama.rope.freq_base', { type: 'float32', value: 10000 }],
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: ['<s>', 'Ġthe', '中'] }],
      ['tokenizer.ggml.scores', { type: 'array', of: 'float32', value: Float32Array.of(0, -1.5, 2) }],
      ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ]);
    await writeGguf(file, {
      metadata,
      tensors: {
        'token_embd.weight': { shape: [3, 64], type: 'Q8_0', values: new Float32Array(192) },
        'output_norm.weight': { shape: [5], type: 'F32', values: new Float32Array(5) },
        'output.weight': { shape: [2, 3], type: 'F16', values: new Float32Array(6) },
      },
    });
    const { metadata: seen, tensorInfos } = await parseElsewhere(file, { allowLocalFile: true });
    expect(seen).toEqual({
      version: 3,
      tensor_count: 3n,
      kv_count: 8n,
      'general.architecture': 'llama',
      'general.quantization_version': 2,
      'llama.block_count': 3,
      'llama.context_length': 2n ** 40n,
      'llama.rope.freq_base': 10000,
      'tokenizer.ggml.tokens': ['<s>', 'Ġthe', '中'],
      'tokenizer.ggml.scores': [0, -1.5, 2],
      'tokenizer.ggml.add_bos_token': true,
    });
    expect(tensorInfos).toEqual([
      { name: 'token_embd.weight', n_dims: 2, shape: [64n, 3n], dtype: 8, offset: 0n },
      { name: 'output_norm.weight', n_dims: 1, shape: [5n], dtype: 0, offset: 224n }, // 6 blocks of 34, padded
      { name: 'output.weight', n_dims: 2, shape: [3n, 2n], dtype: 1, offset: 256n },
    ]);
  });

  test('what is written is read, for metadata and tensors of any kind', async () => {
    const file = join(directory, 'any.gguf');
    const integers = (min: number, max: number) => fc.integer({ min, max });
    const scalars: { [type in GgufScalarType]: fc.Arbitrary<number | string | boolean> } = {
      uint8: integers(0, 255),
      int8: integers(-128, 127),
      uint16: integers(0, 65535),
      int16: integers(-32768, 32767),
      uint32: fc.nat({ max: 0xffffffff }),
      int32: integers(-(2 ** 31), 2 ** 31 - 1),
      uint64: fc.maxSafeNat(),
      int64: fc.maxSafeInteger(),
      float32: fc.float(),
      float64: fc.double(),
      bool: fc.boolean(),
      string: fc.string({ unit: 'binary' }),
    };
    const numbers = {
      uint8: Uint8Array,
      int8: Int8Array,
      uint16: Uint16Array,
      int16: Int16Array,
      uint32: Uint32Array,
      int32: Int32Array,
      uint64: Float64Array,
      int64: Float64Array,
      float32: Float32Array,
      float64: Float64Array,
    };
    const types = Object.keys(scalars) as GgufScalarType[];
    const value = fc.constantFrom(...types).chain((type) =>
      fc.oneof(
        scalars[type].map((value) => ({ type, value })),
        fc.array(scalars[type], { maxLength: 5 }).map((list) => ({
          type: 'array',
          of: type,
          value: type === 'string' || type === 'bool' ? list : numbers[type].from(list as number[]),
        })),
      ),
    ) as fc.Arbitrary<GgufValue>;
    const metadata = fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary', maxLength: 9 }), value), {
      maxLength: 6,
      selector: ([key]) => key,
    });
    const shape = fc.array(integers(1, 3), { minLength: 1, maxLength: 4 });
    const size = (dimensions: number[]) => dimensions.reduce((product, dimension) => product * dimension, 1);
    const tensor = shape.chain((dimensions) =>
      fc
        .float32Array({ minLength: size(dimensions), maxLength: size(dimensions) })
        .map((values) => ({ shape: dimensions, values })),
    );
    const tensors = fc.dictionary(fc.string({ minLength: 1, maxLength: 15, unit: 'binary' }), tensor, { maxKeys: 4 });
    const alignment = fc.constantFrom(undefined, 1, 8, 64, 4096);
    await fc.assert(
      fc.asyncProperty(metadata, tensors, alignment, async (entries, weights, step) => {
        const map = new Map<string, GgufValue>(entries);
        if (step) map.set('general.alignment', { type: 'uint32', value: step });
        const content = Object.entries(weights).map(([name, weight]) => [name, { ...weight, type: 'F32' }] as const);
        await writeGguf(file, { metadata: map, tensors: Object.fromEntries(content) });
        const read = await readGguf(file);
        expect(read.header.metadata).toEqual(map);
        expect([...read.header.metadata.keys()]).toEqual([...map.keys()]);
        expect(read.tensors).toEqual(Object.fromEntries(Object.entries(weights)));
        for (const { begin } of read.header.tensors) expect(begin % (step ?? 32)).toBe(0);
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  test('Q8_0: every value within half a step of itself', async () => {
    const file = join(directory, 'q8.gguf');
    const values = fc.float32Array({
      minLength: 32,
      maxLength: 96,
      noNaN: true,
      noDefaultInfinity: true,
      min: -8e6,
      max: 8e6,
    });
    await fc.assert(
      fc.asyncProperty(values, async (all) => {
        const kept = all.slice(0, all.length - (all.length % 32));
        await writeGguf(file, { metadata: none, tensors: { w: q8(kept) } });
        const read = (await readGguf(file)).tensors.w!.values;
        for (let block = 0; block < kept.length; block += 32) {
          const largest = Math.max(...kept.subarray(block, block + 32).map(Math.abs));
          // Half a step of d, and 127 times what d loses as F16: 2^-11 of it, or 2^-25.
          const bound = (largest / 127) * 0.5001 + Math.max((largest / 127) * 2 ** -11, 2 ** -25) * 127.001;
          for (let i = block; i < block + 32; i++) {
            if (!(Math.abs(read[i]! - kept[i]!) <= bound)) expect.fail(`${kept[i]} became ${read[i]}`);
          }
        }
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  test('Q8_0: where the inverse of the scale overflows, zeros', async () => {
    const file = join(directory, 'tiny.gguf');
    await writeGguf(file, { metadata: none, tensors: { w: q8(new Float32Array(32).fill(1e-44)) } });
    expect((await readFile(file)).subarray(-64)).toEqual(Buffer.alloc(64)); // 34 bytes and padding
  });

  test('tensors longer than one chunk', async () => {
    const file = join(directory, 'long.gguf');
    const n = (1 << 20) + 64;
    const values = Float32Array.from({ length: n }, (_, i) => (i % 32 === 0 ? 127 : i % 100));
    for (const type of ['F32', 'F16', 'Q8_0'] as const) {
      await writeGguf(file, { metadata: none, tensors: { long: { shape: [n], type, values }, after: f32(7) } });
      const { tensors } = await readGguf(file);
      expect(Buffer.from(tensors.long!.values.buffer).equals(Buffer.from(values.buffer))).toBe(true);
      expect(tensors.after!.values).toEqual(Float32Array.of(7));
    }
  });

  test('asks for a tensor only when the one before is written', async () => {
    const asked: string[] = [];
    const lazy = (name: string) => ({
      shape: [1],
      type: 'F32' as const,
      values: async () => {
        asked.push(name);
        return Float32Array.of(1);
      },
    });
    await writeGguf(join(directory, 'lazy.gguf'), { metadata: none, tensors: { b: lazy('b'), a: lazy('a') } });
    expect(asked).toEqual(['b', 'a']);
  });

  const text = { type: 'string', value: 'x' } as const;
  const metadata = (value: unknown, key = 'k') => ({ metadata: new Map([[key, value]]), tensors: {} });
  const tensor = (value: unknown, name = 'w') => ({ metadata: none, tensors: { [name]: value } });
  test.each([
    ['a number too large for its type', metadata({ type: 'uint8', value: 256 }), /key "k": expected uint8, got 256/],
    ['a fraction', metadata({ type: 'int32', value: 0.5 }), /key "k": expected int32, got 0.5/],
    ['NaN as an integer', metadata({ type: 'uint32', value: Number.NaN }), /key "k": expected uint32, got null/],
    [
      'an unsafe integer',
      metadata({ type: 'uint64', value: 2 ** 53 }),
      /key "k": expected uint64, got 9007199254740992/,
    ],
    ['a number beyond float32', metadata({ type: 'float32', value: 1e39 }), /key "k": expected float32, got 1e\+39/],
    ['a text for a number', metadata({ type: 'float64', value: '1' }), /key "k": expected float64, got "1"/],
    ['a number for a bool', metadata({ type: 'bool', value: 1 }), /key "k": expected bool, got 1/],
    ['a number for a text', metadata({ type: 'string', value: 1 }), /key "k": expected well-formed text, got 1/],
    ['half a surrogate pair', metadata({ type: 'string', value: 'a\ud800' }), /key "k": expected well-formed text/],
    [
      'an array that does not fit',
      metadata({ type: 'array', of: 'int8', value: [0, 128] }),
      /key "k": expected int8, got 128/,
    ],
    [
      'an array in an array',
      metadata({ type: 'array', of: 'array', value: [[1]] }),
      /key "k": .*got an array of arrays/,
    ],
    [
      'an unknown type',
      metadata({ type: 'float16', value: 1 }),
      /key "k": expected a type among uint8, .*got "float16"/,
    ],
    ['a key that is too long', metadata(text, 'k'.repeat(65536)), /expected a key of at most 65535 bytes, got 65536/],
    [
      'an alignment of 24',
      metadata({ type: 'uint32', value: 24 }, 'general.alignment'),
      /a power of two as uint32, got 24/,
    ],
    ['no name', tensor(f32(1), ''), /tensor "": expected a name of 1 to 63 bytes, got 0/],
    ['a name that is too long', tensor(f32(1), 'é'.repeat(32)), /expected a name of 1 to 63 bytes, got 64/],
    ['another type', tensor({ ...f32(1), type: 'Q4_0' }), /tensor "w": expected type F32, F16 or Q8_0, got "Q4_0"/],
    [
      'no dimensions',
      tensor({ ...f32(1), shape: [] }),
      /tensor "w": expected a shape of 1 to 4 integers from 1 on, got \[\]/,
    ],
    ['five dimensions', tensor({ ...f32(1), shape: [1, 1, 1, 1, 1] }), /tensor "w": expected a shape of 1 to 4/],
    ['a dimension of zero', tensor({ ...f32(), shape: [0] }), /tensor "w": expected a shape of .*got \[0\]/],
    [
      'a shape that does not fit',
      tensor({ ...f32(1, 2), shape: [3] }),
      /tensor "w": expected 3 values for \[3\], got 2/,
    ],
    [
      'values that come and do not fit',
      tensor({ ...f32(1), values: async () => new Float32Array(2) }),
      /tensor "w": expected 1 values for \[1\], got 2/,
    ],
    [
      'rows of Q8_0 that are no blocks',
      tensor({ shape: [32, 30], type: 'Q8_0', values: new Float32Array(960) }),
      /tensor "w": expected rows of a multiple of 32 for Q8_0, got 30; write it as F16 or F32/,
    ],
    [
      'a value beyond F16',
      tensor({ ...f32(0, -70000), type: 'F16' }),
      /tensor "w": expected finite values within F16, got -70000 at element 1/,
    ],
    [
      'a value beyond Q8_0',
      tensor(q8(new Float32Array(64).fill(-9e6, 40))),
      /tensor "w": expected finite values within Q8_0, got -9000000 at element 40/,
    ],
    [
      'NaN in Q8_0',
      tensor(q8(new Float32Array(32).fill(Number.NaN, 3, 4))),
      /tensor "w": .*within Q8_0, got NaN at element 3/,
    ],
    [
      'infinity in Q8_0',
      tensor(q8(new Float32Array(32).fill(-Infinity, 31))),
      /tensor "w": .*got -Infinity at element 31/,
    ],
  ])('refuses %s, and leaves the file as it was', async (_, content, message) => {
    const file = join(directory, 'kept.gguf');
    await writeGguf(file, { metadata: none, tensors: { kept: f32(1) } });
    const writing = writeGguf(file, content as { metadata: GgufMetadata; tensors: Record<string, GgufTensor> });
    const error: unknown = await writing.then(
      () => expect.fail('it was written'),
      (error) => error,
    );
    expect(error).toBeInstanceOf(RangeError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toMatch(/^writeGguf: (key|tensor) "/);
    expect(Object.keys((await readGguf(file)).tensors)).toEqual(['kept']);
    expect((await readdir(directory)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('keeps what F16 has: infinity and NaN', async () => {
    const file = join(directory, 'infinite.gguf');
    const values = Float32Array.of(Infinity, -Infinity, Number.NaN, 65504);
    await writeGguf(file, { metadata: none, tensors: { w: { shape: [4], type: 'F16', values } } });
    expect((await readGguf(file)).tensors.w!.values).toEqual(values);
  });
});
