// The cache alone, against lists of what each row has read. Shapes: B batch, S positions, K key/value heads, D head dim.
import { normalArray, uniformArray, useEngine } from '@soft-tokens/tensor';
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeEach, describe, expect, test } from 'vitest';
import { type CachedKeys, DecoderCache } from './cache.js';
import { createCausalLM, initialWeights } from './causalLM.js';
import { llama } from './llama.js';

const [K, D] = [2, 3];

/** Fresh numbers, other ones at each call. */
let drawn = 0;
const draw = (B: number, T: number) => {
  const address = { seed: 1, step: 0, sample: drawn++, position: 0, stream: 0 };
  return tf.tensor4d(normalArray(address, B * T * K * D), [B, T, K, D]);
};

/** Keys or values as the queries see them: for each row its positions, the prefix's first. */
function seen(which: 'keys' | 'values', all: CachedKeys): number[][] {
  return tf.tidy(() => {
    const own = tf.slice(all[which], [0, 0], [-1, all.length]).arraySync();
    const prefix = all.prefix?.[which].arraySync();
    return own.map((row, b) => [...(prefix?.[all.prefix!.rows[b]!] ?? []), ...row].flat(2));
  });
}

/** A cache of one layer, and what each of its rows should hold. */
interface Mirrored {
  cache: DecoderCache;
  keys: number[][];
  values: number[][];
}

const mirrored = (B: number): Mirrored => ({
  cache: new DecoderCache(1, new Int32Array(B)),
  keys: Array.from({ length: B }, () => []),
  values: Array.from({ length: B }, () => []),
});

/** Appends T positions and checks everything that the cache then holds. */
function appendAndCheck(to: Mirrored, T: number): CachedKeys {
  const B = to.cache.padding.length;
  const [keys, values] = [draw(B, T), draw(B, T)];
  const flat = (x: tf.Tensor4D) => x.arraySync().map((row) => row.flat(2));
  to.keys = flat(keys).map((row, b) => [...to.keys[b]!, ...row]);
  to.values = flat(values).map((row, b) => [...to.values[b]!, ...row]);
  const all = to.cache.append(0, keys, values);
  to.cache.advance(T);
  expect(seen('keys', all)).toEqual(to.keys);
  expect(seen('values', all)).toEqual(to.values);
  expect(to.cache.length).toBe(to.keys[0]!.length / (K * D));
  tf.dispose([keys, values]);
  return all;
}

const selected = (from: Mirrored, rows: number[]): Mirrored => ({
  cache: from.cache.select(Int32Array.from(rows)),
  keys: rows.map((row) => from.keys[row]!),
  values: rows.map((row) => from.values[row]!),
});

eachEngine(useEngine, () => {
  test('grown, selected and branched in any order, with and without a gradient, each row keeps what it read', () => {
    for (let trial = 0; trial < 6; trial++) {
      const before = tf.memory().numTensors;
      const uniform = uniformArray({ seed: trial, step: 0, sample: 0, position: 0, stream: 0 }, 400);
      let next = 0;
      const upTo = (n: number) => Math.floor(uniform[next++]! * n);
      const live = [mirrored(1 + upTo(3))];
      for (let step = 0; step < 40; step++) {
        const one = live[upTo(live.length)]!;
        const action = upTo(10);
        if (action < 6) {
          appendAndCheck(one, 1 + upTo(3));
        } else if (action < 7) {
          // A gradient of something else is enough for the engine to record.
          const x = tf.scalar(1);
          const gradient = tf.grad((x) => {
            appendAndCheck(one, 1 + upTo(3));
            return tf.square(x);
          })(x);
          tf.dispose([x, gradient]);
        } else {
          const rows = Array.from({ length: 1 + upTo(5) }, () => upTo(one.cache.padding.length));
          live.push(selected(one, rows));
          if (live.length > 3) live.shift()!.cache.dispose();
        }
      }
      for (const one of live) appendAndCheck(one, 2);
      for (const { cache } of live) cache.dispose();
      expect(tf.memory().numTensors).toBe(before);
    }
  });

  test('a prompt read once: selected, grown, selected again, by rows that leave', () => {
    const before = tf.memory().numTensors;
    const prompt = mirrored(2);
    appendAndCheck(prompt, 5);
    const samples = selected(prompt, [0, 0, 0, 1, 1, 1]);
    prompt.cache.dispose();
    for (let t = 0; t < 20; t++) appendAndCheck(samples, 1);
    const fewer = selected(samples, [5, 1]);
    samples.cache.dispose();
    for (let t = 0; t < 20; t++) appendAndCheck(fewer, 1);
    // The one goes on beside the others, and does not show in them, even with the same rows.
    const branches = [fewer, selected(fewer, [0, 1]), selected(fewer, [0, 0, 1])];
    for (let t = 0; t < 30; t++) for (const branch of branches) appendAndCheck(branch, 1);
    for (const { cache } of branches) cache.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

eachEngine(useEngine, () => {
  test('without a gradient it grows in place, in room for half as much again', () => {
    const one = mirrored(2);
    const buffers = new Map<number, number>();
    tf.tidy(() => {
      for (let t = 1; t <= 200; t++) {
        const { keys, length } = appendAndCheck(one, 1);
        expect(length).toBe(t);
        expect(keys.shape[1]).toBeLessThanOrEqual(Math.max(16, 1.5 * t + 1));
        buffers.set(keys.id, keys.shape[1]);
      }
    });
    expect([...buffers.values()]).toEqual([1, 16, 26, 41, 63, 96, 146, 221]);
    one.cache.dispose();
  });

  test('rows of one prompt share its data', () => {
    const prompt = mirrored(1);
    appendAndCheck(prompt, 7);
    const { numDataBuffers } = tf.memory();
    const samples = selected(prompt, [0, 0, 0, 0]);
    expect(tf.memory().numDataBuffers).toBe(numDataBuffers);
    prompt.cache.dispose();
    const { prefix, length } = appendAndCheck(samples, 1);
    expect(prefix!.keys.shape).toEqual([1, 7, K, D]);
    expect([...prefix!.rows]).toEqual([0, 0, 0, 0]);
    expect(length).toBe(1);
    const left = selected(samples, [3]);
    samples.cache.dispose();
    expect(appendAndCheck(left, 1).prefix!.keys.shape).toEqual([1, 7, K, D]);
    left.cache.dispose();
  });

  test('what was appended is not written into', () => {
    const one = mirrored(1);
    const first = draw(1, 3);
    const copy = first.arraySync();
    one.cache.append(0, first, first);
    one.cache.advance(3);
    for (let t = 0; t < 3; t++) one.cache.append(0, draw(1, 1), draw(1, 1));
    expect(first.arraySync()).toEqual(copy);
    one.cache.dispose();
  });

  test('the same bits as by concatenation, which gradients need', () => {
    const raw = {
      model_type: 'llama',
      vocab_size: 11,
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-5,
      initializer_range: 0.5,
    };
    const model = createCausalLM(llama, raw, initialWeights(llama, raw, 7));
    const read = (ids: number[][]) => model.embed(tf.tensor2d(ids, undefined, 'int32')) as tf.Tensor3D;
    const run = () =>
      tf.tidy(() => {
        const prompt = model.createCache(Int32Array.of(0, 2));
        // biome-ignore format: one row a line
        model.forward(read([[1, 2, 3, 4, 5], [0, 0, 6, 7, 8]]), prompt);
        let cache = prompt.select(Int32Array.of(0, 1, 1, 0));
        prompt.dispose();
        const states: tf.Tensor[] = [];
        for (let t = 0; t < 40; t++) {
          if (t === 20) {
            const fewer = cache.select(Int32Array.of(3, 1));
            cache.dispose();
            cache = fewer;
          }
          const B = t < 20 ? 4 : 2;
          states.push(model.forward(read(Array.from({ length: B }, (_, b) => [(3 * t + b) % 11])), cache));
        }
        cache.dispose();
        return tf.concat(states);
      });
    const inPlace = run();
    const { value } = tf.valueAndGrad((x) => tf.add(run(), x))(tf.scalar(0));
    expect(inPlace.dataSync().every(Number.isFinite)).toBe(true);
    expect(inPlace.dataSync()).toEqual(value.dataSync());
    model.dispose();
  });
}, ['native']);

describe('refused', () => {
  beforeEach(() => useEngine('cpu'));

  test('paddings, rows and caches that cannot be', () => {
    expect(() => new DecoderCache(1, Int32Array.of(0, -1))).toThrow(
      new RangeError(
        'createCache: padding[1]: expected a count of positions, got -1; give 0 for a row without padding',
      ),
    );
    const { cache } = mirrored(2);
    expect(() => cache.select(Int32Array.of(2))).toThrow(
      new RangeError('select: rows[0]: expected a row in 0..1, got 2; name rows of this cache'),
    );
    cache.dispose();
    expect(() => cache.select(Int32Array.of(0))).toThrow('select: expected a live cache, got a disposed one');
  });
});
