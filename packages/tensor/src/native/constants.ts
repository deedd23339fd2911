// Kernels of tfjs that write constants: tensors of them, and padding. Over elements of 4 bytes, float32 and int32; other types
// are left to tfjs.
import * as tf from '@tensorflow/tfjs-core';
import type { Call, Run } from './backend.js';

export const constantKernels: Record<string, Run> = {
  Fill(call) {
    const { shape, value, dtype } = call.attrs as { shape: number[]; value: number; dtype?: tf.DataType };
    return filled(call, shape, dtype ?? tf.util.inferDtype(value), value);
  },
  ZerosLike: (call) => filled(call, call.inputs.x!.shape, call.inputs.x!.dtype, 0),
  OnesLike: (call) => filled(call, call.inputs.x!.shape, call.inputs.x!.dtype, 1),
  PadV2({ inputs, attrs, backend, kernels, fallback }) {
    const x = inputs.x!;
    const { paddings, constantValue } = attrs as { paddings: [number, number][]; constantValue: number };
    const axes = paddings.flatMap(([before, after], axis) => (before > 0 || after > 0 ? [axis] : []));
    if (!isWord(x.dtype) || axes.length > 1 || x.shape.length === 0 || sizeOf(x.shape) === 0) return fallback();
    const axis = axes[0] ?? 0; // without any padding, a copy
    const [before, after] = paddings[axis]!;
    const y = backend.output(x.shape.with(axis, before + x.shape[axis]! + after), x.dtype);
    const inner = sizeOf(x.shape.slice(axis + 1));
    kernels.padBlocks!(
      [backend.values(x), backend.values(y)],
      [
        sizeOf(x.shape.slice(0, axis)),
        x.shape[axis]! * inner,
        before * inner,
        after * inner,
        bitsOf(constantValue, x.dtype),
      ],
    );
    return y;
  },
};

const sizeOf = tf.util.sizeFromShape;

const isWord = (dtype: tf.DataType): dtype is 'float32' | 'int32' => dtype === 'float32' || dtype === 'int32';

function filled({ backend, kernels, fallback }: Call, shape: number[], dtype: tf.DataType, value: number) {
  if (!isWord(dtype)) return fallback();
  const y = backend.output(shape, dtype);
  const values = backend.values(y);
  kernels.fill!([values], [values.length, bitsOf(value, dtype)]);
  return y;
}

/** The 32 bits of a value of that type, as an int32. */
function bitsOf(value: number, dtype: 'float32' | 'int32'): number {
  const element = dtype === 'float32' ? Float32Array.of(value) : Int32Array.of(value);
  return new Int32Array(element.buffer)[0]!;
}
