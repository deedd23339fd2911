import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { normal } from '../test/cases.js';
import { fusedOp, runKernel } from './fused.js';

type Inputs = { x: tf.Tensor; y: tf.Tensor };

/** factor · shift · x² y, with a constant and an attribute. */
const op = fusedOp<Inputs, { shift: tf.Tensor }, { factor: number }>({
  name: 'TestProduct',
  definition: ({ x, y }, { shift }, { factor }) => tf.mul(tf.mul(tf.mul(tf.square(x), y), shift), factor),
  gradient: (dy, { x, y }, { shift }, { factor }) => {
    const scaled = tf.mul(tf.mul(dy, shift), factor);
    return { y: tf.mul(scaled, tf.square(x)), x: tf.mul(scaled, tf.mul(tf.mul(x, y), 2)) }; // named, in any order
  },
});

const call = (x: tf.Tensor, y: tf.Tensor) => op({ x, y }, { shift: tf.tensor1d([1, 10, 100]) }, { factor: 2 });

const registered: string[] = [];

/** Registers a throw-away kernel of the running engine that returns constants, and notes what it was given. */
function register(name: string, outputs: number[]): { inputs?: string[]; attributes?: unknown } {
  const given: { inputs?: string[]; attributes?: unknown } = {};
  tf.registerKernel({
    kernelName: name,
    backendName: tf.getBackend(),
    kernelFunc: ({ inputs, attrs }) => {
      Object.assign(given, { inputs: Object.keys(inputs), attributes: attrs });
      const infos = outputs.map((value) => tf.fill([3], value) as unknown as tf.TensorInfo);
      return infos.length === 1 ? infos[0]! : infos;
    },
  });
  registered.push(name);
  return given;
}

afterEach(() => {
  for (const name of registered.splice(0)) tf.unregisterKernel(name, tf.getBackend());
});

eachEngine(useEngine, () => {
  const [x, y] = [
    [1, 2, -1],
    [3, 1, 2],
  ] as const;

  test('without a kernel: the definition, and the gradient of each input by name', () => {
    const at: tf.Tensor[] = [tf.tensor1d([...x]), tf.tensor1d([...y])];
    expectClose(call(at[0]!, at[1]!), tf.tensor1d([6, 80, 400]));
    const [dx, dy] = tf.grads(call)(at) as [tf.Tensor, tf.Tensor];
    expectClose(dx, tf.tensor1d([12, 80, -800]));
    expectClose(dy, tf.tensor1d([2, 80, 200]));
    checkGradient(call, [normal([3], 1), normal([3], 2)], { rel: 2e-2 });
  });

  test('a kernel of the name is used, with inputs and constants by name', () => {
    const at: tf.Tensor[] = [tf.tensor1d([...x]), tf.tensor1d([...y])];
    const given = register('TestProduct', [42]);
    expectClose(call(at[0]!, at[1]!), tf.fill([3], 42));
    expect(given).toEqual({ inputs: ['x', 'y', 'shift'], attributes: { factor: 2 } });
    expectClose(tf.grads(call)(at)[1]!, tf.tensor1d([2, 80, 200])); // the gradient is still ours
  });

  test('a kernel of the gradient is used, and gives the inputs’ gradients in their order', () => {
    const at: tf.Tensor[] = [tf.tensor1d([...x]), tf.tensor1d([...y])];
    const given = register('TestProductGrad', [7, 8]);
    expectClose(call(at[0]!, at[1]!), tf.tensor1d([6, 80, 400])); // the value is still ours
    const [dx, dy] = tf.grads(call)(at) as [tf.Tensor, tf.Tensor];
    expectClose(dx, tf.fill([3], 7));
    expectClose(dy, tf.fill([3], 8));
    expect(given).toEqual({ inputs: ['dy', 'x', 'y', 'shift'], attributes: { factor: 2 } });
  });

  test('a gradient is told what is wanted of it, and what it gives besides goes', () => {
    const seen: string[][] = [];
    const asking = fusedOp<Inputs, Record<string, never>, { factor: number }>({
      name: 'TestAsking',
      definition: ({ x, y }, _, { factor }) => tf.mul(tf.mul(x, y), factor),
      gradient: (dy, { x, y }, _constants, { factor }, wanted) => {
        seen.push((['x', 'y'] as const).filter(wanted));
        const scaled = tf.mul(dy, factor);
        return { x: tf.mul(scaled, y), y: wanted('y') ? tf.mul(scaled, x) : undefined };
      },
    });
    const at: tf.Tensor[] = [tf.tensor1d([...x]), tf.tensor1d([...y])];
    const frozen = tf.variable(at[1]!);
    const { numTensors } = tf.memory();
    const [dx, dy] = [
      tf.grad((x) => asking({ x, y: frozen }, {}, { factor: 2 }))(at[0]!),
      tf.grad((y) => asking({ x: at[0]!, y }, {}, { factor: 2 }))(at[1]!),
    ];
    expectClose(dx, tf.tensor1d([6, 2, 4]));
    expectClose(dy, tf.tensor1d([2, 4, -2]));
    expect(seen).toEqual([['x'], ['y']]);
    expect(tf.memory().numTensors).toBe(numTensors + 4);
  });

  test('a kernel of the gradient may leave out what is unwanted, or give all', () => {
    const at: tf.Tensor[] = [tf.tensor1d([...x]), tf.tensor1d([...y])];
    const ofY = () => tf.grad((y) => call(at[0]!, y))(at[1]!);
    const given = register('TestProductGrad', [8]);
    expectClose(ofY(), tf.fill([3], 8));
    expect(given.attributes).toEqual({ factor: 2, unwanted: ['x'] });
    tf.unregisterKernel(registered.pop()!, tf.getBackend());
    register('TestProductGrad', [7, 8]);
    expectClose(ofY(), tf.fill([3], 8));
  });

  test('a kernel of another engine is not', () => {
    tf.registerKernel({
      kernelName: 'TestProduct',
      backendName: 'elsewhere',
      kernelFunc: () => tf.zeros([3]) as unknown as tf.TensorInfo,
    });
    expect(runKernel('TestProduct', { x: tf.zeros([3]) }, {})).toBeUndefined();
    expectClose(call(tf.tensor1d([...x]), tf.tensor1d([...y])), tf.tensor1d([6, 80, 400]));
    tf.unregisterKernel('TestProduct', 'elsewhere');
  });

  test('one tensor given twice gets the sum of both gradients', () => {
    const gradient = tf.grad((t) => call(t, t))(tf.tensor1d([1, 2, -1])); // factor · shift · 3 t²
    expectClose(gradient, tf.tensor1d([6, 240, 600]));
  });

  test('leaves no tensor behind but its results', () => {
    const at: tf.Tensor[] = [tf.tensor1d([...x]), tf.tensor1d([...y])];
    const shift = tf.tensor1d([1, 10, 100]);
    const before = tf.memory().numTensors;
    const value = op({ x: at[0]!, y: at[1]! }, { shift }, { factor: 2 });
    expect(tf.memory().numTensors).toBe(before + 1);
    const gradients = tf.grads((a, b) => op({ x: a!, y: b! }, { shift }, { factor: 2 }))(at);
    expect(tf.memory().numTensors).toBe(before + 3);
    tf.dispose([value, ...gradients]);
  });
});
