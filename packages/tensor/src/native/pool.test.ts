import { readFileSync } from 'node:fs';
import { worksHere } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { engineMemory, useEngine } from '../engine.js';
import { linear } from '../ops/linear.js';
import { loadAddon } from './addon.js';
import { BufferPool } from './pool.js';

const MIB = 2 ** 20;

/** An allocator that keeps account. */
function counting() {
  const freed: ArrayBuffer[] = [];
  let allocated = 0;
  const allocate = (bytes: number) => {
    allocated += bytes;
    return new ArrayBuffer(bytes);
  };
  return { allocator: { allocate, free: (block: ArrayBuffer) => freed.push(block) }, freed, bytes: () => allocated };
}

describe('BufferPool', () => {
  test('a block given back is the next of like size', () => {
    const pool = new BufferPool(counting().allocator);
    const block = pool.take(100_000)!;
    pool.give(block);
    expect(pool.take(99_000)).toBe(block);
    expect(pool.take(99_000)).not.toBe(block);
  });

  test('a block has room, and wastes little', () => {
    const pool = new BufferPool(counting().allocator);
    for (const bytes of [1024, 1025, 5000, 65_536, 65_537, 1_000_000, 123_456_789]) {
      const { byteLength } = pool.take(bytes)!;
      expect(byteLength).toBeGreaterThanOrEqual(bytes);
      expect(byteLength).toBeLessThanOrEqual(bytes * 1.065);
    }
  });

  test('few bytes are left to the caller', () => {
    expect(new BufferPool(counting().allocator).take(100)).toBeUndefined();
  });

  test('live and idle never exceed the most that was alive by more than 256 MiB, and the longest idle goes first', () => {
    const { allocator, freed } = counting();
    const pool = new BufferPool(allocator);
    const blocks = [400, 360, 320].map((size) => pool.take(size * MIB)!);
    const most = pool.memory.peak;
    for (const block of blocks) pool.give(block);
    expect(pool.memory).toMatchObject({ live: 0, idle: most, peak: most });
    for (const size of [240, 212, 184, 156, 128]) {
      pool.take(size * MIB);
      const { live, idle, peak } = pool.memory;
      expect(live + idle).toBeLessThanOrEqual(most + 256 * MIB);
      expect(peak).toBe(most);
    }
    expect(freed[0]).toBe(blocks[0]);
  });

  test('a block that somebody may still read is not counted, and not used again', () => {
    const pool = new BufferPool(counting().allocator);
    const block = pool.take(1000_000)!;
    pool.leave(block);
    expect(pool.memory).toMatchObject({ live: 0, idle: 0 });
    expect(pool.take(1000_000)).not.toBe(block);
  });

  test('where the runtime takes no memory from outside, the caller makes its own', () => {
    const pool = new BufferPool({ allocate: () => undefined, free: () => {} });
    expect(pool.take(1000_000)).toBeUndefined();
    expect(pool.memory).toEqual({ live: 0, idle: 0, peak: 0 });
  });
});

const native = await worksHere(useEngine, 'native');

describe.skipIf(!native)('memory of the native engine', () => {
  const values = (x: tf.Tensor) => Array.from(x.dataSync());
  const n = 10_000;

  test('what was read stays as it was, whatever is computed afterwards', () => {
    const x = tf.tidy(() => tf.add(tf.ones([n]), 1));
    const read = x.dataSync();
    x.dispose();
    const next = tf.tidy(() => tf.add(tf.ones([n]), 41));
    expect(values(next)[0]).toBe(42);
    expect(read.every((value) => value === 2)).toBe(true);
    next.dispose();
  });

  test('a tensor that shares memory keeps it: reshaped, cloned, cast, kept as a variable', () => {
    const make = () => tf.add(tf.ones([n]), 1);
    const sharing: [string, (x: tf.Tensor) => tf.Tensor][] = [
      ['reshape', (x) => tf.reshape(x, [100, -1])],
      ['expandDims', (x) => tf.expandDims(x)],
      ['clone', (x) => tf.clone(x)],
      ['cast', (x) => tf.cast(tf.cast(x, 'int32'), 'float32')],
      ['variable', (x) => tf.variable(x)],
      ['real', (x) => tf.real(tf.complex(x, x))],
    ];
    for (const [name, share] of sharing) {
      const x = make();
      const shared = share(x);
      x.dispose();
      const other = tf.tidy(() => tf.add(tf.ones([n]), 41)); // would take the memory if it were free
      expect(
        values(shared).every((value) => value === 2),
        name,
      ).toBe(true);
      tf.dispose([shared, other]);
    }
  });

  test('a weight read in another shape is packed in that shape', () => {
    const w = tf.add(
      tf.tensor2d(
        Array.from({ length: 128 }, (_, i) => i % 7),
        [64, 2],
      ),
      1,
    ) as tf.Tensor2D;
    const x = (K: number) => tf.ones([3, K]) as tf.Tensor2D;
    const want = (y: tf.Tensor) => values(tf.matMul(x(y.shape[1]!), y as tf.Tensor2D, false, true));
    const turned = tf.reshape(w, [2, 64]) as tf.Tensor2D;
    expect(values(linear(x(2), w))).toEqual(want(w));
    expect(values(linear(x(64), turned))).toEqual(want(turned));
    expect(values(linear(x(2), w))).toEqual(want(w));
  });

  test.skipIf(process.platform !== 'linux')('what is freed goes back to the system, whole', () => {
    const { allocate, free } = loadAddon();
    const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\n').length;
    const before = mappings();
    for (let i = 0; i < 300; i++) free(allocate((8 + (i % 5)) * MIB + i * 64)!);
    expect(mappings()).toBeLessThan(before + 50);
  });

  test('a kernel called with something else refuses', () => {
    const { kernels } = loadAddon();
    const y = new Float32Array(4);
    expect(() => kernels.fill!([y], [undefined as unknown as number, 0])).toThrow(
      /fill: expected a number at numbers\[0\]/,
    );
    expect(() => kernels.fill!([undefined as unknown as Float32Array], [4, 0])).toThrow(
      /fill: expected a typed array at arrays\[0\]/,
    );
    expect(() => kernels.fill!([], [4, 0])).toThrow(/fill: expected 1 to 16 arrays .* got 0 and 2/);
  });

  test('a step after a step takes no more memory', () => {
    const step = () =>
      tf.tidy(() => tf.sum(tf.matMul(tf.ones([300, 300]), tf.add(tf.ones([300, 300]), 1))).dataSync()[0]);
    expect(step()).toBe(300 ** 3 * 2);
    const { live, peak } = engineMemory();
    for (let i = 0; i < 20; i++) step();
    expect(engineMemory()).toMatchObject({ live, peak });
  });
});
