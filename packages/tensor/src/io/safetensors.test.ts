import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSafetensors, readSafetensors } from './safetensors.js';
import { openShardedSafetensors, readShardedSafetensors } from './shardedSafetensors.js';
import { type TensorToWrite, writeSafetensors, writeShardedSafetensors } from './writeSafetensors.js';

let directory = '';
let count = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'soft-tokens-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A file of a header, given as text or as an object, and data. */
const bytesOf = (header: unknown, data: Uint8Array | number = 0) => {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, typeof data === 'number' ? Buffer.alloc(data) : data]);
};
const put = async (bytes: Uint8Array) => {
  const file = join(directory, `${count++}.safetensors`);
  await writeFile(file, bytes);
  return file;
};
const f32 = (...values: number[]) => ({ shape: [values.length], values: Float32Array.from(values) });

describe('readSafetensors', () => {
  test('golden: bytes written by hand, of every type', async () => {
    const header = {
      __metadata__: { format: 'pt' },
      f32: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      f16: { dtype: 'F16', shape: [2, 1], data_offsets: [8, 12] },
      bf16: { dtype: 'BF16', shape: [], data_offsets: [12, 14] },
      none: { dtype: 'F32', shape: [0, 3], data_offsets: [14, 14] },
      i64: { dtype: 'I64', shape: [2], data_offsets: [14, 30] },
      i32: { dtype: 'I32', shape: [1], data_offsets: [30, 34] },
      u8: { dtype: 'U8', shape: [1], data_offsets: [34, 35] },
      bool: { dtype: 'BOOL', shape: [2], data_offsets: [35, 37] },
    };
    // biome-ignore format: one type a line
    const data = Uint8Array.of(
      0x00, 0x00, 0x80, 0x3f,  0x00, 0x00, 0x20, 0xc0,
      0x00, 0x3e,  0x01, 0x00,
      0x40, 0x40,
      0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  0x07, 0, 0, 0, 0, 0, 0, 0,
      0xff, 0xff, 0xff, 0xff,
      0xff,
      0x00, 0x01,
    );
    expect(await readSafetensors(await put(bytesOf(header, data)))).toEqual({
      f32: { dtype: 'F32', shape: [2], values: Float32Array.of(1, -2.5) },
      f16: { dtype: 'F16', shape: [2, 1], values: Float32Array.of(1.5, 2 ** -24) },
      bf16: { dtype: 'BF16', shape: [], values: Float32Array.of(3) },
      none: { dtype: 'F32', shape: [0, 3], values: new Float32Array(0) },
      i64: { dtype: 'I64', shape: [2], values: Int32Array.of(-2, 7) },
      i32: { dtype: 'I32', shape: [1], values: Int32Array.of(-1) },
      u8: { dtype: 'U8', shape: [1], values: Int32Array.of(255) },
      bool: { dtype: 'BOOL', shape: [2], values: Int32Array.of(0, 1) },
    });
  });

  test('tensors longer than one read', async () => {
    const n = (1 << 21) + 3; // F16: a little over 4 MiB
    const values = Float32Array.from({ length: n }, (_, i) => i % 2048);
    const tensors = { after: f32(7), long: { shape: [n], values } };
    for (const dtype of ['F32', 'F16', 'BF16'] as const) {
      const file = join(directory, `${dtype}.safetensors`);
      const exact =
        dtype === 'BF16' ? { ...tensors, long: { shape: [n], values: values.map((v) => v % 256) } } : tensors;
      await writeSafetensors(file, exact, { dtype });
      const read = await readSafetensors(file);
      expect(Buffer.from(read.long!.values.buffer).equals(Buffer.from(exact.long.values.buffer))).toBe(true);
      expect(read.after!.values).toEqual(Float32Array.of(7));
    }
  });

  const good = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
  const two = (a: object, b: object) => ({ a: { ...good, ...a }, b: { ...good, ...b } });
  test.each([
    ['an empty file', Buffer.alloc(0), /at least 8 bytes, got 0/],
    ['7 bytes', Buffer.alloc(7), /at least 8 bytes, got 7/],
    ['a header that is not all there', bytesOf({ a: good }).subarray(0, 20), /a header of \d+ bytes, got a file/],
    ['a header beyond the limit', Buffer.from('0100000000000080', 'hex'), /at most 25000000 bytes, got 92233720368/],
    ['a header just beyond the limit', Buffer.from('41787d0100000000', 'hex'), /at most 25000000 bytes, got 25000001/],
    ['no JSON', bytesOf('{"a":'), /JSON in UTF-8/],
    ['no UTF-8', bytesOf('x').fill(0xff, 8), /JSON in UTF-8/],
    ['a deep header', bytesOf(`{"a":${'['.repeat(2e5)}${']'.repeat(2e5)}}`), /brackets at most 16 deep/],
    ['brackets that only open', bytesOf('['.repeat(2e5)), /brackets at most 16 deep/],
    ['a JSON array', bytesOf([]), /a JSON object, got \[\]/],
    ['data missing', bytesOf({ a: good }, 3), /tensor "a": expected 4 bytes of data, got 3/],
    ['data too many', bytesOf({ a: good }, 5), /tensor "a": expected 4 bytes of data, got 5/],
    ['data of no tensor', bytesOf({}, 1), /expected 0 bytes of data, got 1/],
    ['an overlap', bytesOf(two({}, { data_offsets: [2, 6] }), 6), /tensor "b": .*begin at 4, got 2, an overlap/],
    ['one place twice', bytesOf(two({}, {}), 4), /tensor "b": .*an overlap/],
    ['a hole', bytesOf(two({}, { data_offsets: [5, 9] }), 9), /tensor "b": .*begin at 4, got 5, a hole/],
    ['a hole at the start', bytesOf({ a: { ...good, data_offsets: [4, 8] } }, 8), /begin at 0, got 4, a hole/],
    ['offsets beyond the file', bytesOf({ a: { ...good, shape: [1e9], data_offsets: [0, 4e9] } }, 4), /got 4;/],
    ['offsets the wrong way', bytesOf({ a: { ...good, data_offsets: [4, 0] } }, 4), /begin <= end, got \[4,0\]/],
    ['one offset', bytesOf({ a: { ...good, data_offsets: [4] } }, 4), /data_offsets \[begin, end\]/],
    ['a negative offset', bytesOf({ a: { ...good, data_offsets: [-4, 0] } }, 4), /data_offsets/],
    [
      'shape and size that disagree',
      bytesOf({ a: { ...good, shape: [2] } }, 4),
      /expected 8 bytes for F32 \[2\], got 4/,
    ],
    ['a shape that overflows', bytesOf({ a: { ...good, shape: [2 ** 40, 2 ** 40] } }, 4), /tensor "a": expected 4\.8/],
    ['a negative dimension', bytesOf({ a: { ...good, shape: [-1, -1] } }, 4), /integers from 0 on, got \[-1,-1\]/],
    ['a fractional dimension', bytesOf({ a: { ...good, shape: [0.5, 2] } }, 4), /integers from 0 on/],
    ['no shape', bytesOf({ a: { ...good, shape: 1 } }, 4), /integers from 0 on, got 1/],
    ['an unknown dtype', bytesOf({ a: { ...good, dtype: 'F8_E4M3' } }, 4), /F32, F16.*, got "F8_E4M3"/],
    ...['F8_E5M2', 'F64', 'I8', 'I16', 'U16', 'U32', 'U64', 'C64', 'F4', 'bf16'].map(
      (dtype): [string, Buffer, RegExp] => [
        `the dtype ${dtype}`,
        bytesOf({ ok: good, 'a.b': { ...good, dtype, data_offsets: [4, 8] } }, 8),
        new RegExp(`tensor "a\\.b": expected a dtype among .*got "${dtype}"`),
      ],
    ),
    ['a dtype from the prototype', bytesOf({ a: { ...good, dtype: 'toString' } }, 4), /got "toString"/],
    ['no tensor', bytesOf({ a: 3 }, 4), /tensor "a": expected \{ dtype, shape, data_offsets \}, got 3/],
    ['an unknown key', bytesOf({ a: { ...good, scale: 1 } }, 4), /tensor "a": .*got "scale"/],
    ['a name twice', bytesOf(`{"a":${JSON.stringify(good)},"\\u0061":${JSON.stringify(good)}}`, 4), /"a": .*it twice/],
    [
      'a key twice',
      bytesOf('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
      /"dtype": .*twice/,
    ],
    ['metadata that is no text', bytesOf({ __metadata__: { a: 1 } }), /"__metadata__": expected an object of texts/],
    [
      'a BOOL of 2',
      bytesOf({ a: { dtype: 'BOOL', shape: [1], data_offsets: [0, 1] } }, Uint8Array.of(2)),
      /0 or 1, got 2/,
    ],
    [
      'an I64 that does not fit',
      bytesOf({ a: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } }, Uint8Array.of(0, 0, 0, 128, 0, 0, 0, 0)),
      /tensor "a": .*fit in 32 bits, got 2147483648/,
    ],
  ])('refuses %s', async (_, bytes, message) => {
    const file = await put(bytes);
    await expect(readSafetensors(file)).rejects.toThrow(message);
    await expect(readSafetensors(file)).rejects.toThrow(`readSafetensors: ${file}: `);
  });

  test('refuses what is no file', async () => {
    await expect(readSafetensors(join(directory, 'none'))).rejects.toThrow(/expected a file at .*none, got ENOENT/);
    await expect(readSafetensors(directory)).rejects.toThrow(/expected a file, got something else/);
  });

  test.skipIf(process.platform === 'win32')('refuses a pipe, and does not wait for it', async () => {
    const pipe = join(directory, 'pipe.safetensors');
    execFileSync('mkfifo', [pipe]);
    await expect(readSafetensors(pipe)).rejects.toThrow(/pipe.*expected a file, got something else/);
  });

  test('opened, it tells what there is and reads one tensor, in memory that is given', async () => {
    const file = join(directory, 'opened.safetensors');
    await writeSafetensors(
      file,
      { a: f32(1, 2), i: { shape: [1], values: Int32Array.of(3) }, z: f32(-4) },
      { dtype: 'BF16' },
    );
    const { path, tensors, read } = await openSafetensors(file);
    expect(path).toBe(file);
    expect(Object.fromEntries(tensors)).toEqual({
      a: { dtype: 'BF16', shape: [2], file },
      i: { dtype: 'I32', shape: [1], file },
      z: { dtype: 'BF16', shape: [1], file },
    });
    const pool = new Float32Array(5).fill(9);
    const into = pool.subarray(1, 3);
    expect(await read('a', into)).toBe(into);
    expect(pool).toEqual(Float32Array.of(9, 1, 2, 9, 9));
    expect(await read('i', into)).toEqual(Int32Array.of(3));
    await expect(read('z', into)).rejects.toThrow(/into: expected an array of 1 for z, got one of 2/);
    await expect(read('z')).resolves.toEqual(Float32Array.of(-4));
    await expect((async () => read('none'))()).rejects.toThrow(/expected the name of a tensor, got "none"/);
    await rm(file);
    await expect(read('z')).rejects.toThrow(/expected a file at .*opened/);
  });

  test('names are only names', async () => {
    const header = `{"__proto__":${JSON.stringify(good)}}`;
    const read = await readSafetensors(await put(bytesOf(header, Uint8Array.of(0, 0, 128, 63))));
    expect(Object.entries(read)).toEqual([['__proto__', { dtype: 'F32', shape: [1], values: Float32Array.of(1) }]]);
  });

  test('fuzz: a mutated file gives an error that names it, or tensors that fit it', async () => {
    const file = join(directory, 'fuzz.safetensors');
    const header = {
      __metadata__: { format: 'pt' },
      'a.weight': { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
      b: { dtype: 'F16', shape: [3], data_offsets: [16, 22] },
      'c"\\': { dtype: 'I64', shape: [1], data_offsets: [22, 30] },
    };
    const original = bytesOf(header, 30);
    const json = original.subarray(8, -30).toString();
    const byteEdits = fc
      .array(fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
      .map((edits) => {
        const bytes = Buffer.from(original);
        for (const [at, byte] of edits) bytes[at] = byte;
        return bytes;
      });
    const cut = fc.nat(original.length - 1).map((length) => original.subarray(0, length));
    const token = fc.constantFrom(
      '-',
      '0',
      '1',
      '9e99',
      '[',
      ']',
      '{',
      '}',
      ',',
      '"',
      ':',
      'null',
      '"F32"',
      '4294967296',
    );
    const textEdits = fc
      .array(fc.tuple(fc.nat(json.length), fc.nat(3), token), { minLength: 1, maxLength: 3 })
      .map((edits) =>
        bytesOf(
          edits.reduce((text, [at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop), json),
          30,
        ),
      );
    // Headers that are right but for what `shift` moves, so that both outcomes come up often.
    const sizes = { F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, U8: 1, BOOL: 1, F64: 8 };
    const dtype = fc.constantFrom(...(Object.keys(sizes) as (keyof typeof sizes)[]));
    const dimensions = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
    const shift = fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.integer({ min: -9, max: 9 }));
    const headers = fc.array(fc.tuple(dtype, dimensions, shift, shift), { maxLength: 4 }).map((tensors) => {
      let end = 0;
      const entries = tensors.map(([dtype, shape, left, right], i) => {
        const begin = end;
        end += shape.reduce((a, b) => a * b, sizes[dtype]);
        return [`t${i}`, { dtype, shape, data_offsets: [begin + left, end + right] }];
      });
      return bytesOf(Object.fromEntries(entries), end);
    });
    const valid = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(fc.oneof(byteEdits, cut, textEdits, headers), async (bytes) => {
        await writeFile(file, bytes);
        const outcome = await readSafetensors(file).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          valid.refused++;
          expect(outcome.constructor).toBe(Error); // not a TypeError, not a failed allocation
          expect(outcome.message).toContain(file);
          return;
        }
        valid.accepted++;
        const tensors = Object.values(outcome as Awaited<ReturnType<typeof readSafetensors>>);
        for (const { shape, values } of tensors) expect(values.length).toBe(shape.reduce((a, b) => a * b, 1));
        expect(tensors.reduce((sum, { values }) => sum + values.byteLength, 0)).toBeLessThanOrEqual(4 * bytes.length);
      }),
      { seed: 5, numRuns: 1500 },
    );
    expect(Math.min(valid.accepted, valid.refused)).toBeGreaterThan(100);
  });
});

describe('writeSafetensors', () => {
  test('golden: the bytes, ordered by size of element and name, header padded to eight', async () => {
    const file = join(directory, 'written.safetensors');
    const tensors = { b: f32(1, -2), a: f32(0.5), n: { shape: [1, 1], values: Int32Array.of(-2) } };
    await writeSafetensors(file, tensors, { dtype: 'BF16', metadata: { z: '1', format: 'pt' } });
    const json =
      '{"__metadata__":{"format":"pt","z":"1"},' +
      '"n":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]},' +
      '"a":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},' +
      '"b":{"dtype":"BF16","shape":[2],"data_offsets":[6,10]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
    const data = Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0x00, 0x3f, 0x80, 0x3f, 0x00, 0xc0);
    expect(await readFile(file)).toEqual(bytesOf(padded, data));
    const { b, a, n } = tensors;
    await writeSafetensors(file, { n, a, b }, { dtype: 'BF16', metadata: { format: 'pt', z: '1' } });
    expect(await readFile(file)).toEqual(bytesOf(padded, data));
  });

  test('what is written is read, and views of larger arrays are themselves', async () => {
    const file = join(directory, 'views.safetensors');
    const pool = Float32Array.from({ length: 10 }, (_, i) => i + Math.fround(0.1));
    await writeSafetensors(file, {
      view: { shape: [2, 2], values: pool.subarray(3, 7) },
      '10': { shape: [], values: Float32Array.of(Number.NaN) },
      empty: { shape: [0], values: new Int32Array(0) },
    });
    const read = await readSafetensors(file);
    expect(read.view).toEqual({ dtype: 'F32', shape: [2, 2], values: pool.slice(3, 7) });
    expect(read['10']).toEqual({ dtype: 'F32', shape: [], values: Float32Array.of(Number.NaN) });
    expect(read.empty).toEqual({ dtype: 'I32', shape: [0], values: new Int32Array(0) });
    await writeSafetensors(file, {});
    expect(await readSafetensors(file)).toEqual({});
  });

  test('refuses what it cannot store, and leaves the file as it was', async () => {
    const file = join(directory, 'kept.safetensors');
    await writeSafetensors(file, { a: f32(1) });
    const refused = (tensors: Parameters<typeof writeSafetensors>[1], options = {}) =>
      expect(writeSafetensors(file, tensors, options)).rejects;
    await refused({ a: { shape: [3], values: new Float32Array(2) } }).toThrow(/tensor "a": .*2 elements, got \[3\]/);
    await refused({ a: { shape: [-1, -2], values: new Float32Array(2) } }).toThrow(/got \[-1,-2\]/);
    await refused({ __metadata__: f32(1) }).toThrow(/got __metadata__/);
    await refused({ a: f32(1) }, { dtype: 'F64' }).toThrow(/expected dtype F32, F16 or BF16, got F64/);
    await refused({ a: f32(1) }, { metadata: { step: 3 } }).toThrow(/text as metadata "step", got 3/);
    await refused({ a: f32(0, 70000) }, { dtype: 'F16' }).toThrow(/"a": .*within F16, got 70000 at element 1/);
    expect(await readSafetensors(file)).toMatchObject({ a: { values: Float32Array.of(1) } });
    expect((await readdir(directory)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await writeSafetensors(file, { a: f32(Infinity) }, { dtype: 'F16' });
  });
});

describe('values given when their turn comes', () => {
  test('one at a time, in the order of the file, and the same bytes', async () => {
    const [now, later] = [join(directory, 'now'), join(directory, 'later')];
    const tensors = { b: f32(1, 2), a: f32(3), c: f32(4, 5, 6) };
    let open = 0;
    const asked: string[] = [];
    const lazy = Object.entries(tensors).map(([name, { shape, values }]): [string, TensorToWrite] => [
      name,
      {
        shape,
        values: async () => {
          expect(open++).toBe(0);
          asked.push(name);
          await Promise.resolve();
          open--;
          return values;
        },
      },
    ]);
    await writeSafetensors(now, tensors, { dtype: 'F16' });
    await writeSafetensors(later, Object.fromEntries(lazy), { dtype: 'F16' });
    expect(asked).toEqual(['a', 'b', 'c']);
    expect((await readFile(later)).equals(await readFile(now))).toBe(true);

    const wrong = { ...tensors, c: { shape: [3], values: () => new Float32Array(2) } };
    await expect(writeSafetensors(now, wrong)).rejects.toThrow(/tensor "c": expected a shape of 2 elements, got \[3\]/);
    const failing = { ...tensors, c: { shape: [3], values: () => Promise.reject(new Error('gone')) } };
    await expect(writeSafetensors(now, failing)).rejects.toThrow('gone');
    expect((await readFile(later)).equals(await readFile(now))).toBe(true);
  });
});

describe('writeShardedSafetensors', () => {
  const fresh = async () => {
    const path = join(directory, `shards${count++}`);
    await mkdir(path);
    return path;
  };
  const all: Record<string, TensorToWrite> = {
    d: f32(1, 2),
    b: f32(3, 4),
    a: f32(5, 6, 7, 8, 9),
    c: f32(10),
    e: f32(11),
  };

  test('golden: in the order given, as much as fits, a large tensor alone; the index as others read it', async () => {
    const path = await fresh();
    await writeShardedSafetensors(path, all, { maxShardSize: 16, metadata: { format: 'pt' } });
    const [one, two, three] = [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`) as [string, string, string];
    expect((await readdir(path)).sort()).toEqual([one, two, three, 'model.safetensors.index.json']);
    expect(JSON.parse(await readFile(join(path, 'model.safetensors.index.json'), 'utf8'))).toEqual({
      metadata: { total_size: 44 },
      weight_map: { d: one, b: one, a: two, c: three, e: three },
    });
    expect(await readFile(join(path, two), 'latin1')).toContain('"__metadata__":{"format":"pt"}');
    const { path: index, tensors: opened } = await openShardedSafetensors(path);
    expect(index).toBe(join(path, 'model.safetensors.index.json'));
    expect(opened.get('c')).toEqual({ dtype: 'F32', shape: [1], file: join(path, three) });
    const read = await readShardedSafetensors(path);
    for (const [name, { values }] of Object.entries(all)) expect(read[name]!.values).toEqual(values);
  });

  test('one file for what fits, whose bytes depend on the format', async () => {
    for (const [dtype, maxShardSize, files] of [
      ['F32', 44, ['model.safetensors']],
      ['F32', undefined, ['model.safetensors']],
      ['BF16', 22, ['model.safetensors']],
      ['BF16', 21, 3],
    ] as const) {
      const path = await fresh();
      await writeShardedSafetensors(path, all, { dtype, maxShardSize });
      const names = (await readdir(path)).sort();
      expect(typeof files === 'number' ? names.length : names).toEqual(files);
    }
    const empty = await fresh();
    await writeShardedSafetensors(empty, {});
    expect(await readShardedSafetensors(empty)).toEqual({});
  });

  test('refuses a directory that has weights, and sizes that are none', async () => {
    const path = await fresh();
    for (const size of [0, -1, Number.NaN]) {
      await expect(writeShardedSafetensors(path, all, { maxShardSize: size })).rejects.toThrow(
        /maxShardSize in bytes > 0/,
      );
    }
    await expect(
      writeShardedSafetensors(path, { ...all, c: { shape: [2], values: Float32Array.of(1) } }),
    ).rejects.toThrow('"c"');
    expect(await readdir(path)).toEqual([]);
    for (const name of ['model.safetensors', 'model-00001-of-00009.safetensors', 'model.safetensors.index.json']) {
      await writeFile(join(path, name), '');
      await expect(writeShardedSafetensors(path, all)).rejects.toThrow(`without weights, got ${join(path, name)}`);
      await rm(join(path, name));
    }
  });
});

describe('readShardedSafetensors', () => {
  const model = async (index: unknown, files: Record<string, Parameters<typeof writeSafetensors>[1]>) => {
    const path = join(directory, `model${count++}`);
    await mkdir(path);
    for (const [name, tensors] of Object.entries(files)) await writeSafetensors(join(path, name), tensors);
    if (index) await writeFile(join(path, 'model.safetensors.index.json'), JSON.stringify(index));
    return path;
  };
  const one = 'model-00001-of-00002.safetensors';
  const two = 'model-00002-of-00002.safetensors';
  const shards = { [one]: { a: f32(1) }, [two]: { b: f32(2), c: f32(3) } };

  test('joins the shards of the index', async () => {
    const path = await model({ metadata: { total_size: 12 }, weight_map: { a: one, c: two, b: two } }, shards);
    const read = await readShardedSafetensors(path);
    expect(Object.keys(read).sort()).toEqual(['a', 'b', 'c']);
    expect(read.c!.values).toEqual(Float32Array.of(3));
  });

  test('reads a single file', async () => {
    const path = await model(undefined, { 'model.safetensors': { a: f32(1) } });
    expect(Object.keys(await readShardedSafetensors(path))).toEqual(['a']);
  });

  test.each([
    ['nothing', undefined, {}, /expected model\.safetensors or model\.safetensors\.index\.json in .*got neither/],
    ['an index without a map', {}, {}, /index\.json: expected an object under the key weight_map, got nothing/],
    ['a way out', { weight_map: { a: '../a.safetensors' } }, {}, /tensor "a": expected the name of .*"\.\.\/a\.safe/],
    ['an absolute path', { weight_map: { a: '/a.safetensors' } }, {}, /expected the name of/],
    ['a Windows path', { weight_map: { a: 'C:\\a.safetensors' } }, {}, /expected the name of/],
    ['a number for a file', { weight_map: { a: 1 } }, {}, /expected the name of .*got 1/],
    ['a shard that is not there', { weight_map: { a: one } }, {}, /expected a file at .*model-00001.*got ENOENT/],
    ['a tensor its shard lacks', { weight_map: { a: one, b: one } }, { [one]: { a: f32(1) } }, /"b": .*in model-00001/],
    [
      'a tensor in another shard',
      { weight_map: { a: two, b: two, c: two } },
      { ...shards, [one]: {} },
      /"a": .*model-00002/,
    ],
    [
      'a tensor twice',
      { weight_map: { a: one, b: two, d: one } },
      { [one]: { a: f32(1), d: f32(4) }, [two]: { b: f32(2), d: f32(5) } },
      /model-00002.*tensor "d": .*model-00001/,
    ],
    ['a tensor that the index lacks', { weight_map: { a: one, b: two } }, shards, /"c": expected only tensors that/],
    ['both', { weight_map: { a: one, b: two } }, { ...shards, 'model.safetensors': {} }, /got both; remove the one/],
  ])('refuses %s', async (_, index, files, message) => {
    const path = await model(index, files as Record<string, Parameters<typeof writeSafetensors>[1]>);
    await expect(readShardedSafetensors(path)).rejects.toThrow(message);
    await expect(readShardedSafetensors(path)).rejects.toThrow(basename(path));
  });
});
