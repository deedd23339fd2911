// Kernels of tfjs that go along an axis, over float32: sums, maxima, softmax; sums of integers too. Other types, and tensors
// without elements, are left to tfjs.
import * as tf from '@tensorflow/tfjs-core';
import type { Call, Run } from './backend.js';

/** A tensor as rows to be reduced. */
interface Rows {
  values: ReturnType<Call['backend']['values']>;
  rows: number;
  n: number;
}

export const reduceKernels: Record<string, Run> = {
  Sum: sum,
  Mean(call) {
    const { inputs, attrs, backend, kernels } = call;
    const x = inputs.x!;
    if (!fits(x)) return call.fallback();
    const total = sum(call) as tf.TensorInfo;
    const mean = backend.output(total.shape);
    const totals = backend.values(total);
    const axes = tf.util.parseAxisParam(attrs.axis as number | number[], x.shape);
    const count = Float32Array.of(sizeOf(axes.map((axis) => x.shape[axis]!)));
    kernels.divide!([totals, count, backend.values(mean)], [1, totals.length, 0, 3]);
    backend.disposeIntermediateTensorInfo(total);
    return mean;
  },
  Max(call) {
    const { inputs, attrs, backend, kernels } = call;
    const x = inputs.x!;
    if (!fits(x)) return call.fallback();
    const axes = tf.util.parseAxisParam(attrs.reductionIndices as number | number[], x.shape);
    const y = backend.output(reducedShape(x.shape, axes, attrs.keepDims as boolean));
    const { values, rows, n } = rowsAlong(call, x, axes);
    kernels.maxRows!([values, backend.values(y)], [rows, n]);
    return y;
  },
  ArgMax(call) {
    const { inputs, attrs, backend, kernels } = call;
    const x = inputs.x!;
    const axes = tf.util.parseAxisParam(attrs.axis as number | number[], x.shape);
    if (!fits(x) || axes.length !== 1) return call.fallback();
    const y = backend.output(reducedShape(x.shape, axes, false), 'int32');
    const { values, rows, n } = rowsAlong(call, x, axes);
    kernels.argMaxRows!([values, backend.values(y)], [rows, n]);
    return y;
  },
  Softmax({ inputs, attrs, backend, kernels, fallback }) {
    const x = inputs.logits!;
    const last = x.shape.length - 1;
    if (!fits(x) || last < 0 || (attrs.dim !== -1 && attrs.dim !== last)) return fallback();
    const y = backend.output(x.shape);
    const n = x.shape[last]!;
    kernels.softmaxRows!([backend.values(x), backend.values(y)], [sizeOf(x.shape) / n, n]);
    return y;
  },
  Cumsum({ inputs, attrs, backend, kernels, fallback }) {
    const x = inputs.x!;
    const last = x.shape.length - 1;
    if (!fits(x) || last < 0 || attrs.axis !== last || attrs.exclusive || attrs.reverse) return fallback();
    const y = backend.output(x.shape);
    const n = x.shape[last]!;
    kernels.cumsumRows!([backend.values(x), backend.values(y)], [sizeOf(x.shape) / n, n]);
    return y;
  },
};

/** Also for Mean, whose attributes have the same names. */
function sum(call: Call): tf.TensorInfo | tf.TensorInfo[] {
  const { inputs, attrs, backend, kernels } = call;
  const x = inputs.x!;
  if (x.dtype === 'int32') return integerSum(call);
  if (!fits(x)) return call.fallback();
  const axes = tf.util.parseAxisParam(attrs.axis as number | number[], x.shape);
  const y = backend.output(reducedShape(x.shape, axes, attrs.keepDims as boolean));
  const [first, last] = [Math.min(...axes), Math.max(...axes)];
  const n = sizeOf(x.shape.slice(last + 1));
  // Axes side by side with others after them are summed where they lie.
  if (n > 1 && axes.length > 0 && last - first === axes.length - 1) {
    const [batch, rows] = [sizeOf(x.shape.slice(0, first)), sizeOf(x.shape.slice(first, last + 1))];
    kernels.sumMiddle!([backend.values(x), backend.values(y)], [batch, rows, n]);
    return y;
  }
  const { values, rows, n: width } = rowsAlong(call, x, axes);
  kernels.sumRows!([values, backend.values(y)], [rows, width]);
  return y;
}

/** Along the last axes. */
function integerSum({ inputs, attrs, backend, kernels, fallback }: Call): tf.TensorInfo | tf.TensorInfo[] {
  const x = inputs.x!;
  const axes = tf.util.parseAxisParam(attrs.axis as number | number[], x.shape);
  const size = sizeOf(x.shape);
  if (size === 0 || axes.some((axis) => axis < x.shape.length - axes.length)) return fallback();
  const n = sizeOf(axes.map((axis) => x.shape[axis]!));
  // What tfjs casts from bool to int32 is still in bytes, and is read as such.
  const held = backend.stored(x);
  const values = held instanceof Uint8Array ? held : backend.values(x);
  const y = backend.output(reducedShape(x.shape, axes, attrs.keepDims as boolean), 'int32');
  kernels.sumIntegers!([values, backend.values(y)], [size / n, n, values.BYTES_PER_ELEMENT]);
  return y;
}

const sizeOf = tf.util.sizeFromShape;

const fits = (x: tf.TensorInfo): boolean => x.dtype === 'float32' && x.shape.length <= 6 && sizeOf(x.shape) > 0;

function reducedShape(shape: number[], axes: number[], keepDims: boolean): number[] {
  if (keepDims) return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** The values of x with `axes` last; moved there where they are not. */
function rowsAlong({ backend, kernels }: Call, x: tf.TensorInfo, axes: number[]): Rows {
  const n = sizeOf(axes.map((axis) => x.shape[axis]!));
  const size = sizeOf(x.shape);
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes.toSorted((p, q) => p - q)];
  const values = backend.values(x);
  if (order.every((axis, i) => axis === i)) return { values, rows: size / n, n };
  const moved = new Float32Array(size);
  kernels.transpose!([values, moved], [order.length, ...x.shape, ...order]);
  return { values: moved, rows: size / n, n };
}
