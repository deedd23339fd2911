// Kernels of tfjs that only move elements of 4 bytes, float32 and int32. Other types are left to tfjs, and so is whatever has
// no elements.
import * as tf from '@tensorflow/tfjs-core';
import type { Call, Run } from './backend.js';

/** An axis of a part of a tensor, or several that are one: so many elements, so far apart in the whole. */
interface Axis {
  size: number;
  stride: number;
}

type DType = 'float32' | 'int32';

export const layoutKernels: Record<string, Run> = {
  Reshape({ inputs, attrs, backend }) {
    const x = inputs.x!;
    const size = sizeOf(x.shape);
    const shape = tf.util.inferFromImplicitShape(attrs.shape as number[], size);
    tf.util.assert(
      size === sizeOf(shape),
      () =>
        `The new shape (${shape}) has ${sizeOf(shape)} elements and the old shape (${x.shape}) has ${size} elements`,
    );
    backend.incRef(x.dataId);
    return { dataId: x.dataId, shape, dtype: x.dtype };
  },
  ExpandDims({ inputs, attrs, backend }) {
    const x = inputs.input!;
    const dim = attrs.dim as number;
    tf.util.assert(
      -(x.shape.length + 1) <= dim && dim <= x.shape.length,
      () => `Axis must be in the interval [${-(x.shape.length + 1)}, ${x.shape.length}]`,
    );
    backend.incRef(x.dataId);
    return {
      dataId: x.dataId,
      shape: x.shape.toSpliced(dim < 0 ? x.shape.length + dim + 1 : dim, 0, 1),
      dtype: x.dtype,
    };
  },
  Slice(call) {
    const { inputs, attrs, fallback } = call;
    const x = inputs.x!;
    const [begin, size] = tf.slice_util.parseSliceParams(x, attrs.begin as number[], attrs.size as number[]) as [
      number[],
      number[],
    ];
    if (!fits(x) || sizeOf(size) === 0) return fallback();
    tf.slice_util.assertParamsValid(x, begin, size);
    return part(call, x, begin, size);
  },
  SplitV(call) {
    const { inputs, attrs, fallback } = call;
    const x = inputs.x!;
    const axis = tf.util.parseAxisParam(attrs.axis as number, x.shape)[0]!;
    const sizes = tf.backend_util.prepareSplitSize(x as tf.Tensor, attrs.numOrSizeSplits as number[] | number, axis);
    if (!fits(x) || sizes.some((size) => size === 0)) return fallback();
    let start = 0;
    return sizes.map((size) => {
      const begin = x.shape.map((_, i) => (i === axis ? start : 0));
      start += size;
      return part(call, x, begin, x.shape.with(axis, size));
    });
  },
  Concat({ inputs, attrs, backend, kernels, fallback }) {
    const all = Object.values(inputs);
    const axis = tf.util.parseAxisParam(attrs.axis as number, all[0]!.shape)[0]!;
    const parts = all.filter((x) => sizeOf(x.shape) > 0);
    if (parts.length < 2 || !parts.every((x) => fits(x) && x.dtype === all[0]!.dtype)) return fallback();
    const shapes = all.map((x) => x.shape);
    tf.backend_util.assertParamsConsistent(shapes, axis);
    const y = backend.output(tf.backend_util.computeOutShape(shapes, axis), all[0]!.dtype as DType);
    const blocks = sizeOf(y.shape.slice(0, axis));
    const stride = sizeOf(y.shape.slice(axis));
    let offset = 0;
    for (const x of parts) {
      const block = sizeOf(x.shape.slice(axis));
      kernels.copyBlocks!([backend.values(x), backend.values(y)], [blocks, block, block, stride, 0, offset]);
      offset += block;
    }
    return y;
  },
  Transpose({ inputs, attrs, backend, kernels, fallback }) {
    const x = inputs.x!;
    const perm = attrs.perm as number[];
    if (!fits(x) || x.shape.length > 6) return fallback();
    const y = backend.output(
      perm.map((axis) => x.shape[axis]!),
      x.dtype as DType,
    );
    kernels.transpose!([backend.values(x), backend.values(y)], [perm.length, ...x.shape, ...perm]);
    return y;
  },
};

const sizeOf = tf.util.sizeFromShape;

const fits = (x: tf.TensorInfo): boolean => (x.dtype === 'float32' || x.dtype === 'int32') && sizeOf(x.shape) > 0;

/** The part of x of shape `size` from `begin` on. */
function part({ backend, kernels }: Call, x: tf.TensorInfo, begin: number[], size: number[]): tf.TensorInfo {
  const y = backend.output(size, x.dtype as DType);
  const arrays = [backend.values(x), backend.values(y)];
  const strides = size.map((_, axis) => sizeOf(x.shape.slice(axis + 1)));
  const start = begin.reduce((offset, at, axis) => offset + at * strides[axis]!, 0);
  const axes = mergedAxes(size, strides);
  const block = axes.at(-1)?.stride === 1 ? axes.pop()!.size : 1;
  const blocks = axes.pop() ?? { size: 1, stride: 0 };
  const count = axes.reduce((product, axis) => product * axis.size, 1);
  // Axes before these: a call for each of their indices.
  for (let index = 0; index < count; index++) {
    const from = start + offsetOf(axes, index);
    const to = index * blocks.size * block;
    kernels.copyBlocks!(arrays, [blocks.size, block, blocks.stride, block, from, to]);
  }
  return y;
}

/** Axes of size 1 left out, and neighbours that lie evenly made one. */
function mergedAxes(sizes: number[], strides: number[]): Axis[] {
  const axes: Axis[] = [];
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const stride = strides[i]!;
    const last = axes.at(-1);
    if (last && last.stride === size * stride) axes[axes.length - 1] = { size: last.size * size, stride };
    else axes.push({ size, stride });
  });
  return axes;
}

/** Where the element `index` of the axes, counted in order, lies in the whole. */
function offsetOf(axes: Axis[], index: number): number {
  let offset = 0;
  let rest = index;
  for (const { size, stride } of axes.toReversed()) {
    offset += (rest % size) * stride;
    rest = Math.floor(rest / size);
  }
  return offset;
}
