// Files from outside, damaged in every way: each is read, with values that fit its shapes, or refused with an error that
// names it; and whatever lengths it claims, no more memory is asked for than a small multiple of its own size.
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readGguf } from './gguf.js';
import { readSafetensors } from './safetensors.js';
import { readShardedSafetensors } from './shardedSafetensors.js';
import { writeSafetensors } from './writeSafetensors.js';

type Tensors = Record<string, { shape: number[]; values: ArrayLike<number> }>;

const TYPED = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
const WIDE = [BigUint64Array, BigInt64Array];

let directory = '';
let gguf = Buffer.alloc(0);
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'soft-tokens-'));
  const fixture = join(import.meta.dirname, '__fixtures__', 'formats.gguf');
  gguf = await readFile(fixture);
  await readGguf(fixture); // what is made once, such as the table of all F16, is no file's
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What `f` gives or throws, and the bytes it asks for in typed arrays, buffers and arrays of a given length. */
async function measured<T>(f: () => Promise<T>): Promise<{ outcome: T | Error; bytes: number }> {
  let bytes = 0;
  const counting = <C extends new (...given: never[]) => object>(type: C, width: number) =>
    new Proxy(type, {
      construct(target, given: unknown[], newTarget) {
        if (typeof given[0] === 'number') bytes += given[0] * width;
        // What is refused for its size would be a crash elsewhere: it is not even tried.
        if (bytes > 2 ** 30) throw new RangeError(`${bytes} bytes were asked for`);
        return Reflect.construct(target, given, newTarget);
      },
    });
  for (const type of [...TYPED, ...WIDE]) vi.stubGlobal(type.name, counting(type, type.BYTES_PER_ELEMENT));
  vi.stubGlobal('ArrayBuffer', counting(ArrayBuffer, 1));
  vi.stubGlobal('Array', counting(Array, 8));
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    const real = Buffer[name].bind(Buffer);
    vi.spyOn(Buffer, name).mockImplementation((size: number) => {
      bytes += size;
      if (bytes > 2 ** 30) throw new RangeError(`${bytes} bytes were asked for`);
      return real(size);
    });
  }
  try {
    return { outcome: await f().catch((error: Error) => error), bytes };
  } finally {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  }
}

/** Reads, and is satisfied with tensors that fit or a refusal that has `name`; true if it was read. */
async function readsOrRefuses(read: () => Promise<Tensors>, name: string, size: number): Promise<boolean> {
  const { outcome, bytes } = await measured(read);
  // Q4_0 makes 128 bytes of 18; a header's bytes are read twice at most, and once more into what they say. Node's
  // readFile begins with 64 KiB where it expects nothing.
  expect(bytes).toBeLessThanOrEqual(12 * size + 65536);
  if (outcome instanceof Error) {
    expect(outcome.constructor, outcome.stack).toBe(Error); // not a TypeError, not a failed allocation
    expect(outcome.message).toContain(name);
    return false;
  }
  for (const { shape, values } of Object.values(outcome)) {
    expect(values.length).toBe(shape.reduce((product, dimension) => product * dimension, 1));
  }
  return true;
}

/** A GGUF file's tensors, seen to share no byte, and to leave none between or after them but padding. */
async function readWell(file: string): Promise<Tensors> {
  const { header, tensors } = await readGguf(file);
  const alignment = Number(header.metadata.get('general.alignment')?.value ?? 32);
  let end: number | undefined;
  for (const { begin, bytes } of header.tensors.toSorted((a, b) => a.begin - b.begin)) {
    const gap = begin - (end ?? begin);
    if (!(gap >= 0 && gap < alignment && Number.isInteger(bytes))) throw new TypeError(`${gap} between tensors`);
    end = begin + bytes;
  }
  const { size } = await stat(file);
  if (!(end === undefined || (end <= size && size - end < alignment))) throw new TypeError(`${size - end!} at the end`);
  return tensors;
}

const tempting = fc.oneof(
  fc.constantFrom(
    0n,
    1n,
    31n,
    32n,
    255n,
    65536n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 40n,
    2n ** 53n,
    2n ** 63n,
    2n ** 64n - 1n,
  ),
  fc.bigInt({ min: 0n, max: 7000n }),
);

/** Damage of every kind: other bytes, a length that lies, a part cut out or put in, an end missing or too many. */
function damaged(original: Buffer): fc.Arbitrary<Buffer> {
  const place = fc.oneof(
    { weight: 3, arbitrary: fc.nat(Math.min(original.length - 1, 1500)) },
    fc.nat(original.length - 1),
  );
  const bytes = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 }).map((edits) => {
    const copy = Buffer.from(original);
    for (const [at, byte] of edits) copy[at] = byte;
    return copy;
  });
  const lie = (width: 4 | 8) =>
    fc.array(fc.tuple(place, tempting), { minLength: 1, maxLength: 2 }).map((edits) => {
      const copy = Buffer.concat([original, Buffer.alloc(8)]);
      for (const [at, value] of edits) {
        if (width === 8) copy.writeBigUInt64LE(value, at);
        else copy.writeUInt32LE(Number(value & 0xffffffffn), at);
      }
      return copy.subarray(0, original.length);
    });
  const cut = fc.nat(original.length - 1).map((length) => original.subarray(0, length));
  const extended = fc.uint8Array({ minLength: 1, maxLength: 100 }).map((more) => Buffer.concat([original, more]));
  const spliced = fc
    .tuple(place, fc.nat(40), fc.uint8Array({ maxLength: 40 }))
    .map(([at, drop, put]) => Buffer.concat([original.subarray(0, at), put, original.subarray(at + drop)]));
  return fc.oneof(bytes, lie(4), { weight: 2, arbitrary: lie(8) }, cut, extended, spliced);
}

describe('a damaged file is read or refused', () => {
  /** Runs the property on files of `damage`; both outcomes must come up. */
  async function fuzz(damage: fc.Arbitrary<Buffer>, file: string, read: () => Promise<Tensors>, name = file, more = 0) {
    const outcomes = { read: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        await writeFile(file, bytes);
        outcomes[(await readsOrRefuses(read, name, bytes.length + more)) ? 'read' : 'refused']++;
      }),
      { seed: 7, numRuns: 1200 },
    );
    expect(Math.min(outcomes.read, outcomes.refused), JSON.stringify(outcomes)).toBeGreaterThan(40);
  }

  test('GGUF', async () => {
    const file = join(directory, 'fuzz.gguf');
    await fuzz(damaged(gguf), file, () => readWell(file));
  });

  test('GGUF: a length that lies, at each byte of the header', async () => {
    const file = join(directory, 'lies.gguf');
    const end = gguf.lastIndexOf('Q6_K') + 4 + 4 + 16 + 4 + 8;
    for (let at = 0; at + 8 <= end; at++) {
      const bytes = Buffer.from(gguf);
      bytes.writeBigUInt64LE(2n ** 27n, at);
      await writeFile(file, bytes);
      await readsOrRefuses(() => readWell(file), file, bytes.length);
    }
  });

  const tensors = {
    'a.weight': { shape: [2, 2], values: Float32Array.of(1, 2, 3, 4) },
    ids: { shape: [3], values: Int32Array.of(1, 2, 3) },
  };

  test('safetensors', async () => {
    const file = join(directory, 'fuzz.safetensors');
    await writeSafetensors(file, tensors, { dtype: 'F16', metadata: { format: 'pt' } });
    await fuzz(damaged(await readFile(file)), file, () => readSafetensors(file));
  });

  test('the index of sharded safetensors', async () => {
    const folder = join(directory, 'sharded');
    await mkdir(folder);
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
    await writeSafetensors(join(folder, shards[0]), { 'a.weight': tensors['a.weight'] });
    await writeSafetensors(join(folder, shards[1]), { ids: tensors.ids });
    const index = { metadata: { total_size: 28 }, weight_map: { 'a.weight': shards[0], ids: shards[1] } };
    const file = join(folder, 'model.safetensors.index.json');
    const json = JSON.stringify(index);
    const token = fc.constantFrom(
      '../',
      '/',
      '\\',
      '\0',
      '"',
      '{',
      '}',
      ',',
      ':',
      'null',
      '1e999',
      'ids',
      shards[0],
      ' ',
    );
    const edited = fc
      .array(fc.tuple(fc.nat(json.length), fc.nat(3), token), { minLength: 1, maxLength: 3 })
      .map((edits) =>
        Buffer.from(edits.reduce((text, [at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop), json)),
      );
    const whole = fc
      .array(
        fc.tuple(
          fc.constantFrom('a.weight', 'ids', 'none'),
          fc.constantFrom(...shards, 'x.safetensors', '../x.safetensors', 3),
        ),
      )
      .map((entries) => Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(entries) })));
    await writeSafetensors(join(directory, 'x.safetensors'), { none: tensors.ids }); // must not be found
    const read = async () => {
      const found = await readShardedSafetensors(folder);
      if ('none' in found) throw new TypeError('a file outside was read');
      return found;
    };
    // The shards themselves are read too.
    await fuzz(fc.oneof(damaged(Buffer.from(json)), edited, whole), file, read, folder, 400);
  });
});
