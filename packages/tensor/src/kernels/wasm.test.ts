import { expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { attention } from '../ops/attention.js';
import { rotary, rotaryTable } from '../ops/rotary.js';
import { cases, expectCase, normal, rowOf } from '../test/cases.js';
import { type Kernels, registerWasmKernels } from './wasm.js';

type Tensors = Record<'q' | 'k' | 'v' | 'dy', tf.Tensor4D>;
interface Shape {
  B: number;
  T: number;
  S: number;
  K: number;
  G: number;
  D: number;
  padding?: Int32Array | undefined;
  window?: number | undefined;
}

const names = ['Attention', 'AttentionGrad', 'EmbeddingLookup', 'EmbeddingLookupGrad', 'Rotary', 'RotaryGrad'];
let kernels: Kernels;

beforeAll(async () => {
  await useEngine('wasm');
  kernels = registerWasmKernels()!;
});

/** y, dq, dk, dv. */
function outputs({ q, k, v, dy }: Tensors, padding?: Int32Array, window?: number): tf.Tensor4D[] {
  const f = (q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D) => attention(q, k, v, { padding, window });
  const { value, grads } = tf.valueAndGrads(f as unknown as (...x: tf.Tensor[]) => tf.Tensor)([q, k, v], dy);
  return [value, ...grads] as tf.Tensor4D[];
}

/** What `f` gives by the definitions, the kernels being away. */
function byDefinition<R>(f: () => R): R {
  const registered = names.map((name) => tf.getKernel(name, 'wasm')!);
  for (const name of names) tf.unregisterKernel(name, 'wasm');
  try {
    return f();
  } finally {
    registered.forEach(tf.registerKernel);
  }
}

/** Normal tensors; `dy` is zero where no key is visible, since nothing reads those outputs. */
function tensorsOf({ B, T, S, K, G, D, padding }: Shape, seed = 1): Tensors {
  const dy = normal<tf.Tensor4D>([B, T, K * G, D], seed + 3);
  const seen = Float32Array.from({ length: B * T }, (_, i) => Number(S - T + (i % T) >= (padding?.[(i / T) | 0] ?? 0)));
  return {
    q: normal([B, T, K * G, D], seed),
    k: normal([B, S, K, D], seed + 1),
    v: normal([B, S, K, D], seed + 2),
    dy: tf.mul(dy, tf.tensor4d(seen, [B, T, 1, 1])),
  };
}

/** Zeroes the outputs of queries that see no key, which the definition leaves at something finite. */
function seenOnly(y: tf.Tensor4D, { B, T, S, padding }: Shape): tf.Tensor4D {
  const seen = Float32Array.from({ length: B * T }, (_, i) => Number(S - T + (i % T) >= (padding?.[(i / T) | 0] ?? 0)));
  return tf.mul(y, tf.tensor4d(seen, [B, T, 1, 1]));
}

/**
 * Within `rel` of the largest element; and dq and dk, which are sums of p (dp - Σ dp p), within some roundings of dp times
 * k or q: with few keys the difference may be all rounding.
 */
function expectEqualToDefinition(shape: Shape, tensors: Tensors, rel = 1e-5): void {
  const size = (x: tf.Tensor) => tf.max(tf.abs(x)).dataSync()[0]!;
  const { q, k, v, dy } = tensors;
  const rounding = 4 * 2 ** -24 * shape.D ** 0.5 * size(dy) * size(v);
  const roundings = [0, rounding * size(k), rounding * size(q), 0];
  const got = outputs(tensors, shape.padding, shape.window);
  const want = byDefinition(() => outputs(tensors, shape.padding, shape.window));
  want[0] = seenOnly(want[0]!, shape);
  got.forEach((x, i) => {
    const largest = Math.max(1e-3, size(want[i]!));
    expectClose(x, want[i]!, { rel: 0, abs: rel * largest + roundings[i]! });
  });
}

const check = (shape: Shape, seed?: number, rel?: number) =>
  tf.tidy(() => expectEqualToDefinition(shape, tensorsOf(shape, seed), rel));

test('the kernels are there', () => {
  for (const name of names) expect(tf.getKernel(name, 'wasm'), name).toBeDefined();
  expect(registerWasmKernels()).toBe(kernels);
});

describe('attention on wasm', () => {
  test.each(cases.attention)('PyTorch: $name', (recorded) => {
    const { window, scale } = recorded;
    const padding = recorded.padding ? Int32Array.from(recorded.padding) : undefined;
    expectCase(recorded, ({ q, k, v }) =>
      attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, { padding, window, scale }),
    );
  });

  test.each<Shape>([
    { B: 1, T: 1, S: 1, K: 1, G: 1, D: 1 },
    { B: 2, T: 1, S: 7, K: 1, G: 1, D: 5 },
    { B: 2, T: 1, S: 61, K: 2, G: 2, D: 16 },
    { B: 2, T: 9, S: 9, K: 3, G: 1, D: 6 },
    { B: 3, T: 7, S: 13, K: 1, G: 3, D: 20, padding: Int32Array.of(0, 5, 13) },
    { B: 2, T: 64, S: 65, K: 2, G: 2, D: 16, padding: Int32Array.of(3, 64) },
    { B: 1, T: 33, S: 70, K: 2, G: 4, D: 128 },
    { B: 40, T: 17, S: 17, K: 2, G: 2, D: 64 }, // several chunks
    { B: 2, T: 3, S: 3, K: 1, G: 2, D: 8, padding: Int32Array.of(2, 3) },
    { B: 2, T: 1, S: 61, K: 2, G: 2, D: 16, window: 9 },
    { B: 2, T: 64, S: 95, K: 2, G: 2, D: 16, window: 13, padding: Int32Array.of(3, 64) },
  ])('is the definition: %o', (shape) => check(shape));

  test('is the definition, whatever the shape', () => {
    const sizes = fc.record({
      B: fc.integer({ min: 1, max: 3 }),
      T: fc.integer({ min: 1, max: 19 }),
      cached: fc.integer({ min: 0, max: 9 }),
      K: fc.integer({ min: 1, max: 3 }),
      G: fc.integer({ min: 1, max: 3 }),
      D: fc.integer({ min: 1, max: 37 }),
      padding: fc.option(fc.array(fc.integer({ min: 0, max: 28 }), { minLength: 3, maxLength: 3 }), { nil: undefined }),
      window: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 1e6 }), ({ cached, padding, ...shape }, seed) => {
        const S = shape.T + cached;
        const lengths = padding && Int32Array.from(padding.slice(0, shape.B), (n) => Math.min(n, S));
        check({ ...shape, S, padding: lengths }, seed);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([1e4, -1e4])('logits of %d', (logit) => {
    tf.tidy(() => {
      const shape = { B: 1, T: 6, S: 6, K: 1, G: 2, D: 4 };
      const tensors = tensorsOf(shape);
      // Keys in steps, so that the logits run from 0 to `logit` and their differences are exact.
      tensors.q = tf.fill([1, 6, 2, 4], 1);
      tensors.k = tf.mul(tf.ones([1, 6, 1, 4]), tf.tensor4d([0, 1, 2, 3, 4, 5], [1, 6, 1, 1])).mul(logit / 2);
      expectEqualToDefinition(shape, tensors);
    });
  });

  test('one query, logits far below the others count for nothing', () => {
    tf.tidy(() => {
      const q = tf.ones<tf.Rank.R4>([1, 1, 1, 1]);
      const k = tf.tensor4d([-1e4, 0, -104, -88], [1, 4, 1, 1]);
      const v = tf.tensor4d([1e6, 2, 1e6, 1e6], [1, 4, 1, 1]);
      expect(attention(q, k, v).dataSync()[0]).toBe(2);
    });
  });

  test('a query that sees no key gives zeros and takes part in no gradient', () => {
    tf.tidy(() => {
      const shape = { B: 2, T: 5, S: 5, K: 1, G: 2, D: 8, padding: Int32Array.of(2, 5) };
      const tensors = { ...tensorsOf(shape), dy: normal<tf.Tensor4D>([2, 5, 2, 8], 9) };
      const [y, ...gradients] = outputs(tensors, shape.padding);
      for (const x of [y!, gradients[0]!]) {
        expectClose(tf.slice(x, [0, 0], [1, 2]), tf.zeros([1, 2, 2, 8]), { rel: 0, abs: 0 });
      }
      for (const x of [y!, ...gradients]) expectClose(rowOf(x, 1), tf.zerosLike(rowOf(x, 1)), { rel: 0, abs: 0 });
    });
  });

  test('NaN in, NaN out, and only in the row it came in', () => {
    tf.tidy(() => {
      const tensors = tensorsOf({ B: 2, T: 5, S: 5, K: 1, G: 1, D: 3 });
      const bad = new Float32Array(30);
      bad[0] = Number.NaN;
      tensors.k = tf.add(tensors.k, tf.tensor4d(bad, [2, 5, 1, 3]));
      for (const x of outputs(tensors)) {
        const values = [...x.dataSync()];
        expect(values.slice(0, 3)).toEqual([Number.NaN, Number.NaN, Number.NaN]);
        expect(values.slice(15).every(Number.isFinite)).toBe(true);
      }
      // What the call left in the module's memory does not come back.
      const after = outputs(tensorsOf({ B: 1, T: 5, S: 6, K: 1, G: 1, D: 3 }));
      for (const x of after) expect(x.dataSync().every(Number.isFinite)).toBe(true);
    });
  });

  test('NaN within a window reaches no query before or after it', () => {
    tf.tidy(() => {
      const tensors = tensorsOf({ B: 1, T: 40, S: 40, K: 1, G: 1, D: 4 });
      const bad = new Float32Array(160);
      bad[4 * 4] = Number.NaN;
      tensors.k = tf.add(tensors.k, tf.tensor4d(bad, [1, 40, 1, 4]));
      const [y] = outputs(tensors, undefined, 3);
      const rows = tf.unstack(tf.reshape(y!, [40, 4])).map((x) => x.dataSync().every(Number.isNaN));
      expect(rows).toEqual(Array.from({ length: 40 }, (_, t) => t >= 4 && t < 7));
    });
  });

  test.each([undefined, 7])(
    'a row is the same to the bit alone, in a batch, and behind padding: window %s',
    (window) => {
      tf.tidy(() => {
        const shape = { B: 90, T: 21, S: 21, K: 2, G: 2, D: 24 };
        const tensors = tensorsOf(shape);
        const together = outputs(tensors, undefined, window);
        const alone = (b: number) =>
          Object.fromEntries(Object.entries(tensors).map(([name, x]) => [name, rowOf(x, b)])) as Tensors;
        for (const b of [0, 1, 89]) {
          const got = outputs(alone(b), undefined, window);
          const padded = Object.entries(alone(b)).map(([name, x]) => {
            const before = [1, 3, x.shape[2], x.shape[3]] as [number, number, number, number];
            return [name, tf.concat([name === 'dy' ? tf.zeros(before) : normal(before, 7), x], 1)];
          });
          const behind = outputs(Object.fromEntries(padded) as Tensors, Int32Array.of(3), window);
          got.forEach((x, i) => {
            expect(x.dataSync()).toEqual(rowOf(together[i]!, b).dataSync());
            expect(tf.slice(behind[i]!, [0, 3]).dataSync()).toEqual(x.dataSync());
          });
        }
      });
    },
  );

  test.each([undefined, 6])('a query is the same to the bit as in a decoding step: window %s', (window) => {
    tf.tidy(() => {
      for (const G of [1, 2]) {
        const { q, k, v } = tensorsOf({ B: 2, T: 23, S: 23, K: 2, G, D: 16 });
        const all = attention(q, k, v, { window });
        for (let t = 0; t < 23; t++) {
          const upToNow = (x: tf.Tensor4D, from: number) => tf.slice(x, [0, from], [-1, t + 1 - from]);
          const alone = attention(upToNow(q, t), upToNow(k, 0), upToNow(v, 0), { window });
          expect(alone.dataSync()).toEqual(upToNow(all, t).dataSync());
        }
      }
    });
  });

  test('an empty batch', () => {
    tf.tidy(() => {
      const [q, k] = [tf.zeros<tf.Rank.R4>([0, 2, 2, 4]), tf.zeros<tf.Rank.R4>([0, 3, 1, 4])];
      expect(attention(q, k, k).shape).toEqual([0, 2, 2, 4]);
    });
  });

  test('memory: nothing is left behind, and the module does not grow with the batch', () => {
    const shape = { B: 200, T: 16, S: 16, K: 2, G: 2, D: 32 };
    check(shape);
    const [tensors, bytes] = [tf.memory().numTensors, kernels.memory.buffer.byteLength];
    check({ ...shape, B: 400 });
    expect(tf.memory().numTensors).toBe(tensors);
    expect(kernels.memory.buffer.byteLength).toBe(bytes);
    expect(bytes).toBeLessThan(16 << 20);
  });
});

describe('rotary on wasm', () => {
  test.each([
    { B: 1, T: 1, H: 1, D: 2 },
    { B: 3, T: 5, H: 2, D: 6 },
    { B: 2, T: 7, H: 3, D: 16 },
    { B: 2, T: 3, H: 1, D: 22 },
    { B: 3, T: 3, H: 2, D: 8, shared: true },
    { B: 50, T: 33, H: 4, D: 64 }, // several chunks
    { B: 50, T: 33, H: 4, D: 64, shared: true },
  ])('is the definition: %o', ({ B, T, H, D, shared }) => {
    tf.tidy(() => {
      const rows = shared ? 1 : B;
      const positions = Int32Array.from({ length: rows * T }, (_, i) => 3 * i);
      const table = rotaryTable({ headDim: D, theta: 10000 }, positions, [rows, T]);
      const [x, dy] = [normal<tf.Tensor4D>([B, T, H, D], 1), normal<tf.Tensor4D>([B, T, H, D], 2)];
      const f = () => tf.valueAndGrad((x) => rotary(x as tf.Tensor4D, table))(x, dy);
      const [got, want] = [f(), byDefinition(f)];
      expectClose(got.value, want.value, { rel: 0, abs: 1e-6 });
      expectClose(got.grad, want.grad, { rel: 0, abs: 1e-6 });
    });
  });
});

describe('exponentials', () => {
  const exponentials = (x: Float32Array): Float32Array => {
    const row = kernels.memory.buffer.byteLength - 4 * (x.length + 4);
    const view = new Float32Array(kernels.memory.buffer, row & ~15, x.length);
    view.set(x);
    kernels.exponentials(row & ~15, x.length, x.length);
    return view.slice();
  };

  test('within 2 ulp of exp(x) from -87.3 to 0', () => {
    const [runs, size] = [50, 1000];
    const worst = { ulp: 0, x: 0 };
    for (let run = 0; run < runs; run++) {
      // Zero is the largest, so x - max = x.
      const x = Float32Array.from({ length: size }, (_, i) => (-87.3 * (i * runs + run)) / (runs * size));
      x[0] = 0;
      exponentials(x).forEach((got, i) => {
        const want = Math.exp(x[i]!);
        const ulp = Math.abs(got - want) / 2 ** (Math.floor(Math.log2(want)) - 23);
        if (ulp > worst.ulp) Object.assign(worst, { ulp, x: x[i] });
      });
    }
    expect(worst.ulp, `at ${worst.x}`).toBeLessThan(2);
  });

  test('exact at 0; 0 below float32 and for -Infinity', () => {
    expect([...exponentials(Float32Array.of(0, -0, -88, -1e4, -3e38, Number.NEGATIVE_INFINITY))]).toEqual([
      1, 1, 0, 0, 0, 0,
    ]);
  });

  test('sums what is visible and clears the rest', () => {
    const row = kernels.base.value + 64;
    const view = new Float32Array(kernels.memory.buffer, row & ~15, 12);
    view.fill(3);
    expect(kernels.exponentials(row & ~15, 5, 7)).toBe(5);
    expect([...view]).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 3, 3, 3, 3]);
  });
});
