// On the engine `native` no bit of a result depends on the number of threads, nor a row's on the rows beside it.
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { adamWStep } from '../ops/adamW.js';
import { attention } from '../ops/attention.js';
import { embedding } from '../ops/embedding.js';
import { geglu } from '../ops/geglu.js';
import { headLogProb, headMixture } from '../ops/head.js';
import { linear } from '../ops/linear.js';
import { rmsNorm } from '../ops/rmsNorm.js';
import { rotary, rotaryTable } from '../ops/rotary.js';
import { swiglu } from '../ops/swiglu.js';
import { createNoise } from '../random.js';
import { normal } from '../test/cases.js';
import type { NativeKernels } from './addon.js';
import { registerNative } from './register.js';

const threadCounts = [1, 2, 3, 5];

type Operation = (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

/** A function, and inputs so large that several threads share the work: half a million operations and more. */
interface Case {
  f: Operation;
  shapes: number[][];
  /** Otherwise the gradient of every input is compared, too. */
  constant?: boolean;
}

const ids = (N: number, V: number) =>
  tf.tensor1d(
    Int32Array.from({ length: N }, (_, n) => (n * n * 7) % V),
    'int32',
  );
const onAxis = (axis: number | number[], reduce: (x: tf.Tensor, axis: number | number[]) => tf.Tensor): Operation => {
  return (x) => reduce(x!, axis);
};
const table = (B: number, T: number, headDim: number) =>
  rotaryTable(
    { headDim, theta: 1e4 },
    Int32Array.from({ length: B * T }, (_, i) => (i * 3) % 100),
    [B, T],
  );
const attend =
  (padding?: Int32Array, window?: number): Operation =>
  (q, k, v) =>
    attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, { padding, window });
const matMul =
  (transposeA: boolean, transposeB: boolean): Operation =>
  (a, b) =>
    tf.matMul(a!, b!, transposeA, transposeB);

const cases: Record<string, Case> = {
  linear: {
    f: (x, w) => linear(x!, w as tf.Tensor2D),
    shapes: [
      [3, 50, 300],
      [130, 300],
    ],
  },
  'linear, few rows': {
    f: (x, w) => linear(x!, w as tf.Tensor2D),
    shapes: [
      [5, 400],
      [3001, 400],
    ],
  },
  rmsNorm: { f: (x, w) => rmsNorm(x!, w as tf.Tensor1D, 1e-6), shapes: [[2, 400, 1003], [1003]] },
  swiglu: {
    f: (gate, up) => swiglu(gate!, up!),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  geglu: {
    f: (gate, up) => geglu(gate!, up!),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  rotary: { f: (x) => rotary(x as tf.Tensor4D, table(17, 67, 64)), shapes: [[17, 67, 8, 64]] },
  embedding: { f: (E) => embedding(E as tf.Tensor2D, ids(3000, 301)), shapes: [[301, 257]] },
  attention: {
    f: attend(Int32Array.of(0, 5, 44)),
    shapes: [
      [3, 61, 4, 48],
      [3, 70, 2, 48],
      [3, 70, 2, 48],
    ],
  },
  'attention, one query': {
    f: attend(),
    shapes: [
      [9, 1, 6, 64],
      [9, 333, 2, 64],
      [9, 333, 2, 64],
    ],
  },
  'attention, a window': {
    f: attend(Int32Array.of(0, 5, 144), 37),
    shapes: [
      [3, 161, 4, 48],
      [3, 270, 2, 48],
      [3, 270, 2, 48],
    ],
  },
  'attention, a window across a shared prefix': {
    f: (q, k, v, keys, values) =>
      attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, {
        padding: Int32Array.of(0, 5, 0, 5, 0),
        prefix: { keys: keys as tf.Tensor4D, values: values as tf.Tensor4D, rows: Int32Array.of(0, 0, 0, 1, 0) },
        window: 45,
      }),
    shapes: [
      [5, 61, 4, 48],
      [5, 61, 2, 48],
      [5, 61, 2, 48],
      [2, 133, 2, 48],
      [2, 133, 2, 48],
    ],
  },
  'attention, a shared prefix': {
    f: (q, k, v, keys, values) =>
      attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, {
        padding: Int32Array.of(0, 5, 0, 5, 0),
        prefix: { keys: keys as tf.Tensor4D, values: values as tf.Tensor4D, rows: Int32Array.of(0, 1, 0, 1, 0) },
      }),
    shapes: [
      [5, 61, 4, 48],
      [5, 61, 2, 48],
      [5, 61, 2, 48],
      [2, 33, 2, 48],
      [2, 33, 2, 48],
    ],
  },
  headLogProb: {
    f: (h, w) => headLogProb(h!, w as tf.Tensor2D, ids(91, 1003), 0.7),
    shapes: [
      [91, 70],
      [1003, 70],
    ],
  },
  headMixture: {
    f: (h, w, E) => headMixture(h!, w as tf.Tensor2D, E as tf.Tensor2D, 0.5),
    shapes: [
      [91, 70],
      [1003, 70],
      [1003, 50],
    ],
  },
  adamW: {
    constant: true,
    f: (parameter, gradient, firstMoment, v) => {
      const state = { parameter: parameter!, firstMoment: firstMoment!, secondMoment: tf.square(v!) };
      const options = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1, step: 3 };
      return Object.values(adamWStep(state, gradient!, options));
    },
    shapes: Array(4).fill([700, 1001]),
  },
  matMul: {
    f: matMul(false, false),
    shapes: [
      [150, 300],
      [300, 101],
    ],
  },
  'matMul, both transposed': {
    f: matMul(true, true),
    shapes: [
      [300, 150],
      [101, 300],
    ],
  },
  'matMul, a batch': {
    f: matMul(false, true),
    shapes: [
      [7, 40, 90],
      [7, 130, 90],
    ],
  },
  'matMul, a batch by one': {
    constant: true, // tfjs has no gradient of it
    f: matMul(true, false),
    shapes: [
      [7, 90, 40],
      [1, 90, 130],
    ],
  },
  add: {
    f: (a, b) => tf.add(a!, b!),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  subtract: { f: (a, b) => tf.sub(a!, b!), shapes: [[700, 1001], [1001]] },
  multiply: {
    f: (a, b) => tf.mul(a!, b!),
    shapes: [
      [7, 1, 1001],
      [7, 100, 1],
    ],
  },
  divide: {
    f: (a, b) => tf.div(a!, tf.add(tf.square(b!), 1)),
    shapes: [
      [700, 1001],
      [700, 1],
    ],
  },
  negate: { f: (x) => tf.neg(x!), shapes: [[700, 1001]] },
  exponential: { f: (x) => tf.exp(x!), shapes: [[700, 1001]] },
  sigmoid: { f: (x) => tf.sigmoid(x!), shapes: [[700, 1001]] },
  'square roots': {
    f: (x) => {
      const y = tf.add(tf.square(x!), 1);
      return tf.add(tf.sqrt(y), tf.rsqrt(y));
    },
    shapes: [[700, 1001]],
  },
  'sum of long rows': { f: onAxis(1, tf.sum), shapes: [[3, 300_001]] },
  'sum of rows': { f: onAxis(1, tf.sum), shapes: [[700, 1001]] },
  'sum of columns': { f: onAxis(0, tf.sum), shapes: [[700, 1001]] },
  'sum along the middle': { f: onAxis(1, tf.sum), shapes: [[3, 300, 701]] },
  'sum along two axes apart': { f: onAxis([0, 2], tf.sum), shapes: [[30, 201, 101]] },
  mean: { f: onAxis(1, tf.mean), shapes: [[700, 1001]] },
  max: { f: onAxis(1, tf.max), shapes: [[700, 1001]] },
  argMax: { constant: true, f: (x) => tf.argMax(x!, 1), shapes: [[700, 1001]] },
  softmax: { f: (x) => tf.softmax(x!), shapes: [[300, 1001]] },
  cumsum: { f: (x) => tf.cumsum(x!, 1), shapes: [[300, 1001]] },
  minimum: {
    f: (a, b) => tf.minimum(a!, b!),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  'lessEqual, and a sum of integers': {
    constant: true,
    f: (a, b) => tf.sum(tf.cast(tf.lessEqual(a!, b!), 'int32'), 1),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  'cast to integers': { constant: true, f: (x) => tf.cast(tf.mul(x!, 100), 'int32'), shapes: [[700, 1001]] },
  fill: { constant: true, f: (x) => [tf.fill([700_001], 3), tf.onesLike(x!)], shapes: [[700, 1001]] },
  pad: {
    f: (x) =>
      tf.pad(x!, [
        [0, 0],
        [3, 5],
      ]),
    shapes: [[700, 1001]],
  },
  noise: {
    constant: true,
    f: () => {
      const noise = createNoise({ seed: 3, step: 2, samples: Int32Array.of(5, 0, 9), position: 7, stream: 0 });
      return [noise.normal(200_001), noise.uniform(200_001)];
    },
    shapes: [[1]],
  },
  slice: { f: (x) => tf.slice(x!, [1, 20, 0], [7, 270, 350]), shapes: [[9, 300, 350]] },
  split: { f: (x) => tf.split(x!, [301, 700], 1), constant: true, shapes: [[700, 1001]] },
  concat: {
    f: (a, b) => tf.concat([a!, b!], 1),
    shapes: [
      [700, 301],
      [700, 700],
    ],
  },
  transpose: { f: (x) => tf.transpose(x!, [2, 0, 1]), shapes: [[30, 201, 131]] },
};

/** A function of rows that the leading axis of its inputs counts. */
interface RowCase {
  f: (...inputs: tf.Tensor[]) => tf.Tensor;
  shapes: number[][];
}

// What all rows share.
const shared = <T extends tf.Tensor = tf.Tensor2D>(...shape: number[]) => normal<T>(shape, 77);

const rowCases: Record<string, RowCase> = {
  linear: { f: (x) => linear(x!, shared(130, 300)), shapes: [[90, 7, 300]] },
  rmsNorm: { f: (x) => rmsNorm(x!, shared<tf.Tensor1D>(1003), 1e-6), shapes: [[700, 1003]] },
  swiglu: {
    f: (gate, up) => swiglu(gate!, up!),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  geglu: {
    f: (gate, up) => geglu(gate!, up!),
    shapes: [
      [700, 1001],
      [700, 1001],
    ],
  },
  rotary: { f: (x) => rotary(x as tf.Tensor4D, table(1, 67, 64)), shapes: [[17, 67, 8, 64]] },
  embedding: { f: (n) => embedding(shared(300, 257), tf.cast(tf.abs(tf.mul(n!, 50)), 'int32')), shapes: [[900, 3]] },
  attention: {
    f: attend() as RowCase['f'],
    shapes: [
      [7, 61, 4, 48],
      [7, 70, 2, 48],
      [7, 70, 2, 48],
    ],
  },
  'attention, a window': {
    f: attend(undefined, 19) as RowCase['f'],
    shapes: [
      [7, 161, 4, 48],
      [7, 170, 2, 48],
      [7, 170, 2, 48],
    ],
  },
  'attention, one query': {
    f: attend() as RowCase['f'],
    shapes: [
      [9, 1, 6, 64],
      [9, 333, 2, 64],
      [9, 333, 2, 64],
    ],
  },
  headLogProb: { f: (h) => headLogProb(h!, shared(1003, 70), ids(h!.size / 70, 7), 0.7), shapes: [[91, 1, 70]] },
  headMixture: { f: (h) => headMixture(h!, shared(1003, 70), shared(1003, 50), 0.5), shapes: [[91, 2, 70]] },
  matMul: { f: (a) => tf.matMul(a!, shared(300, 101)), shapes: [[150, 300]] },
  'matMul, a batch': {
    f: matMul(false, true) as RowCase['f'],
    shapes: [
      [7, 40, 90],
      [7, 130, 90],
    ],
  },
  sum: { f: (x) => tf.sum(x!, -1), shapes: [[700, 1001]] },
  'sum of long rows': { f: (x) => tf.sum(x!, -1), shapes: [[4, 200_001]] },
  'sum along the middle': { f: (x) => tf.sum(x!, 1), shapes: [[5, 200, 701]] },
  mean: { f: (x) => tf.mean(x!, -1), shapes: [[700, 1001]] },
  max: { f: (x) => tf.max(x!, -1), shapes: [[700, 1001]] },
  argMax: { f: (x) => tf.argMax(x!, -1), shapes: [[700, 1001]] },
  softmax: { f: (x) => tf.softmax(x!), shapes: [[300, 1001]] },
  cumsum: { f: (x) => tf.cumsum(x!, 1), shapes: [[300, 1001]] },
  elementwise: {
    f: (a, b) => tf.sigmoid(tf.div(tf.exp(a!), tf.add(tf.square(b!), 1))),
    shapes: [
      [700, 1001],
      [700, 1],
    ],
  },
};

/** Fails unless the tensors hold the same bits, all of them finite numbers. */
function expectSameBits(got: tf.Tensor[], want: tf.Tensor[], what: string): void {
  expect(got.map(({ shape }) => shape)).toEqual(want.map(({ shape }) => shape));
  got.forEach((tensor, i) => {
    const [a, b] = [tensor.dataSync<'float32'>(), want[i]!.dataSync<'float32'>()];
    expect(a.every(Number.isFinite), `${what}, result ${i}: finite`).toBe(true);
    const at = a.findIndex((x, j) => !Object.is(x, b[j]));
    expect(at === -1 ? '' : `${what}, result ${i}, element ${at}: got ${a[at]}, expected ${b[at]}`).toBe('');
  });
}

/** The function's value, or values, and the gradient of every input. */
function outputs({ f, constant }: Case, inputs: tf.Tensor[]): tf.Tensor[] {
  if (constant) return [f(...inputs)].flat();
  const dy = tf.tidy(() => normal((f(...inputs) as tf.Tensor).shape, 99));
  const { value, grads } = tf.valueAndGrads(f as (...inputs: tf.Tensor[]) => tf.Tensor)(inputs, dy);
  return [value, ...grads];
}

const inputsOf = ({ shapes }: { shapes: number[][] }) => shapes.map((shape, i) => normal(shape, i + 1));

eachEngine(useEngine, () => {
  // The kernels are functions in an object: each notes that it was called.
  const { kernels } = registerNative() as { kernels: Record<string, NativeKernels[string]> };
  const called = new Set<string>();
  const original = { ...kernels };
  for (const [name, kernel] of Object.entries(original)) {
    kernels[name] = (...given) => {
      called.add(name);
      kernel(...given);
    };
  }
  afterAll(async () => {
    Object.assign(kernels, original);
    await useEngine('native');
  });

  describe('any number of threads gives the same bits, forwards and backwards', () => {
    test.each(Object.entries(cases))('%s', async (_, example) => {
      const inputs = inputsOf(example);
      await useEngine('native', { threads: threadCounts[0] });
      const want = tf.tidy(() => outputs(example, inputs));
      for (const threads of threadCounts.slice(1)) {
        await useEngine('native', { threads });
        tf.tidy(() => expectSameBits(outputs(example, inputs), want, `${threads} threads`));
      }
      tf.dispose([inputs, want]);
    });

    test.each([
      // Kernels that no operation of tfjs calls.
      ['sumSquares', [700_700], new Float64Array(1), [700_001]],
      ['multiplyAdds', [], new Float64Array(8), [8, 1000]],
    ] as const)('the kernel %s', async (name, sizes, y, numbers) => {
      const inputs = sizes.map((size) => normal([size], 1).dataSync<'float32'>());
      const results: number[][] = [];
      for (const threads of threadCounts) {
        await useEngine('native', { threads });
        kernels[name]!([...inputs, y.fill(Number.NaN)], numbers);
        results.push([...y]);
      }
      expect(results[0]!.every(Number.isFinite)).toBe(true);
      for (const result of results) expect(result).toEqual(results[0]);
    });

    test('that was every kernel', () => {
      expect(Object.keys(original).filter((name) => !called.has(name))).toEqual([]);
    });
  });

  describe('a row has the same bits alone and among others', () => {
    test.each(Object.entries(rowCases))('%s', async (_, example) => {
      await useEngine('native', { threads: 3 });
      tf.tidy(() => {
        const inputs = inputsOf(example);
        const all = example.f(...inputs);
        const B = example.shapes[0]![0]!;
        for (const [first, count] of [
          [0, 1],
          [1, 1],
          [B >> 1, 1],
          [B - 1, 1],
          [1, 2],
          [B - 3, 3],
        ] as const) {
          const some = example.f(...inputs.map((x) => tf.slice(x, first, count)));
          expectSameBits([some], [tf.slice(all, first, count)], `rows ${first} to ${first + count - 1} alone`);
        }
      });
    });

    test.each([undefined, 1, 21])(
      'attention: behind left padding, and one query at a time on the keys so far: window %s',
      async (window) => {
        await useEngine('native', { threads: 3 });
        tf.tidy(() => {
          const [B, T, pad] = [3, 130, 7];
          const [q, k, v] = [
            normal<tf.Tensor4D>([B, T, 4, 48], 1),
            ...[2, 3].map((seed) => normal<tf.Tensor4D>([B, T, 2, 48], seed)),
          ] as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
          const all = attention(q, k, v, { window });
          const behind = [q, k, v].map((x) => tf.concat([normal<tf.Tensor4D>([B, pad, x.shape[2], 48], 9), x], 1)) as [
            tf.Tensor4D,
            tf.Tensor4D,
            tf.Tensor4D,
          ];
          const padded = attention(...behind, { padding: new Int32Array(B).fill(pad), window });
          expectSameBits([tf.slice(padded, [0, pad])], [all], 'behind padding');
          for (let t = 0; t < T; t++) {
            const at = (x: tf.Tensor4D, from: number) => tf.slice(x, [0, from], [-1, t + 1 - from]);
            expectSameBits([attention(at(q, t), at(k, 0), at(v, 0), { window })], [at(all, t)], `query ${t} alone`);
          }
          for (const [from, to] of [
            [5, 12],
            [60, 130],
          ] as const) {
            const to4 = (x: tf.Tensor4D, begin: number) => tf.slice(x, [0, begin], [-1, to - begin]);
            expectSameBits(
              [attention(to4(q, from), to4(k, 0), to4(v, 0), { window })],
              [to4(all, from)],
              `queries ${from} to ${to}`,
            );
          }
        });
      },
    );
  });
}, ['native']);
