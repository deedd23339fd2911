// Kernels of tfjs in C++ against those in JavaScript. All of these are exact: equal, and not only close.
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test, vi } from 'vitest';
import { useEngine } from '../engine.js';
import { uniformArray } from '../random.js';

/** Values where arithmetic and conversions are special, as floats. */
const special = [
  ...[0, -0, 0.5, -0.5, 1.5, -1.5, 1e-45, 3.4e38, -3.4e38, Number.NaN, Infinity, -Infinity],
  ...[
    2 ** 24 + 2,
    2 ** 31,
    -(2 ** 31),
    2 ** 31 - 128,
    -(2 ** 31) - 256,
    2 ** 32,
    3 * 2 ** 31 + 512,
    -(2 ** 40) - 2 ** 17,
  ],
];

/** Floats of a shape: some special, the rest of either sign. */
function floats(shape: number[], seed = 0): tf.Tensor {
  const address = { seed, step: 0, sample: 0, position: 0, stream: 0 };
  const values = uniformArray(address, tf.util.sizeFromShape(shape)).map((u, i) =>
    u < 0.3 ? special[(i + seed) % special.length]! : (u - 0.65) * 9,
  );
  return tf.tensor(values, shape);
}

/** Small whole numbers, negative ones too. */
const integers = (shape: number[]): tf.Tensor =>
  tf.tensor(
    Int32Array.from({ length: tf.util.sizeFromShape(shape) }, (_, i) => ((i * 7919) % 201) - 100),
    shape,
    'int32',
  );

function resultOf(compute: () => tf.Tensor) {
  return tf.tidy(() => {
    const y = compute();
    return { type: y.dtype, shape: y.shape, values: y.dataSync().slice() };
  });
}

/** Fails unless `compute` gives the same on the engines native and cpu, and ran `kernels` without JavaScript on the former. */
async function expectSame(compute: () => tf.Tensor, kernels: readonly string[]): Promise<void> {
  const javascript = kernels.map((name) => vi.spyOn(tf.getKernel(name, 'cpu'), 'kernelFunc'));
  const native = kernels.map((name) => vi.spyOn(tf.getKernel(name, 'native'), 'kernelFunc'));
  try {
    const got = resultOf(compute);
    for (const spy of javascript) expect(spy).not.toHaveBeenCalled();
    for (const spy of native) expect(spy).toHaveBeenCalled();
    await useEngine('cpu');
    const { values, ...want } = resultOf(compute);
    expect(got).toMatchObject(want);
    expect(got.values.length).toBe(values.length);
    // Any NaN is as good as another; 0 and -0 are two numbers.
    const at = values.findIndex((value, i) => !Object.is(value, got.values[i]));
    expect([at, got.values[at]]).toEqual([-1, undefined]);
  } finally {
    for (const spy of [...javascript, ...native]) spy.mockRestore();
    await useEngine('native');
  }
}

eachEngine(useEngine, () => {
  const shapes: [number[], number[]][] = [
    [[257], [257]],
    [
      [7, 1001],
      [7, 1],
    ],
    [
      [7, 1],
      [7, 1001],
    ],
    [[5, 33], [33]],
    [[3, 9000], []],
    [[], [19]],
    [
      [2, 3, 4, 5],
      [3, 1, 5],
    ],
    [[1], [1, 1]],
  ];

  test.each(shapes)('LessEqual and Minimum: %j with %j', async (a, b) => {
    await expectSame(() => tf.lessEqual(floats(a), floats(b, 1)), ['LessEqual']);
    await expectSame(() => tf.minimum(floats(a), floats(b, 1)), ['Minimum']);
    await expectSame(() => tf.lessEqual(floats(a), floats(a)), ['LessEqual']); // equal, but for NaN
  });

  test('Minimum of zeros of either sign, and of NaN', async () => {
    const [a, b] = [
      [0, -0, -0, 0, Number.NaN, 1, Number.NaN],
      [-0, 0, -0, 0, 1, Number.NaN, Number.NaN],
    ];
    await expectSame(() => tf.minimum(a!, b!), ['Minimum']);
  });

  test('Cast of floats to integers: as JavaScript does, whatever the size', async () => {
    await expectSame(() => tf.cast(special, 'int32'), ['Cast']);
    await expectSame(() => tf.cast(floats([3, 1001]), 'int32'), ['Cast']);
    await expectSame(() => tf.cast(tf.zeros([0, 3]), 'int32'), ['Cast']);
  });

  test('Sum of integers and of what was bool', async () => {
    await expectSame(() => tf.sum(integers([5, 1001]), -1), ['Sum']);
    await expectSame(() => tf.sum(integers([2, 3, 17]), [1, 2], true), ['Sum']);
    await expectSame(() => tf.sum(integers([100_003])), ['Sum']);
    await expectSame(() => tf.sum(tf.cast(tf.lessEqual(floats([9, 5003]), 0), 'int32'), -1), ['Sum', 'LessEqual']);
    await expectSame(() => tf.sum(tf.lessEqual(floats([4, 70]), 0), 1), ['Sum']);
    const large = () => tf.tensor1d([2 ** 31 - 1, 2 ** 31 - 1, 5], 'int32');
    await expectSame(() => tf.sum(large()), ['Sum']); // wraps
  });

  test.each([
    [[5, 7, 11], 1, [0, 3]],
    [[5, 7, 11], 1, [2, 0]],
    [[5, 7, 11], 0, [1, 2]],
    [[5, 7, 11], 2, [3, 4]],
    [[40, 50, 60], 1, [9, 0]],
    [[13], 0, [1, 1]],
    [[5, 6], 0, [0, 0]], // a copy
  ] as [number[], number, [number, number]][])('PadV2: %j along axis %d by %j', async (shape, axis, padding) => {
    const paddings = shape.map((_, i) => (i === axis ? padding : [0, 0])) as [number, number][];
    await expectSame(() => tf.pad(floats(shape), paddings), ['PadV2']);
    await expectSame(() => tf.pad(floats(shape), paddings, -2.5), ['PadV2']);
    await expectSame(() => tf.pad(integers(shape), paddings, 3), ['PadV2']);
  });

  test('Fill, ZerosLike, OnesLike', async () => {
    await expectSame(() => tf.fill([3, 1001], 0.1), ['Fill']);
    await expectSame(() => tf.fill([2], Number.NaN), ['Fill']);
    await expectSame(() => tf.fill([17], 7, 'int32'), ['Fill']);
    await expectSame(() => tf.fill([300_001], -0), ['Fill']);
    for (const x of [() => floats([4, 33]), () => integers([70_001]), () => tf.scalar(5), () => tf.zeros([0])]) {
      await expectSame(() => tf.zerosLike(x()), ['ZerosLike']);
      await expectSame(() => tf.onesLike(x()), ['OnesLike']);
    }
  });

  test('what the kernels leave to JavaScript', async () => {
    await expectSame(() => tf.lessEqual(integers([9]), 3), []);
    await expectSame(() => tf.minimum(integers([9]), integers([9])), []);
    await expectSame(() => tf.sum(integers([4, 5]), 0), []);
    await expectSame(
      () =>
        tf.pad(floats([2, 3]), [
          [1, 1],
          [2, 0],
        ]),
      [],
    );
    await expectSame(() => tf.zerosLike(tf.lessEqual(floats([9]), 0)), []);
  });
}, ['native']);
