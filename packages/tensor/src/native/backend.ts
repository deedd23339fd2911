// The tfjs backend 'native': tensors in typed arrays, as tfjs's JavaScript backend keeps them, and every operation from
// there until a C++ kernel takes its place.
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import type { NativeKernels } from './addon.js';

/** The values of a tensor, where they lie. */
type Values = Float32Array | Int32Array | Uint8Array;

/** Rows of 32 columns: how the product kernel takes its second operand (native/ops/matMul.h). */
const PANEL = 32;

/** A call of a kernel as tfjs makes it. */
export interface Call {
  inputs: Record<string, tf.TensorInfo>;
  attrs: Record<string, unknown>;
  backend: NativeBackend;
  kernels: NativeKernels;
  /** Runs tfjs's own JavaScript kernel of the same name instead. */
  fallback: () => tf.TensorInfo | tf.TensorInfo[];
}

/** Computes one kernel. */
export type Run = (call: Call) => tf.TensorInfo | tf.TensorInfo[];

/** What is kept beside a tensor's values for as long as they live. */
interface Packed {
  /** Of the matrix as it is, `[K, N]`. */
  plain?: Float32Array;
  /** Of its transpose: the matrix is `[N, K]`. */
  transposed?: Float32Array;
}

export class NativeBackend extends MathBackendCPU {
  readonly #kernels: NativeKernels;
  /** By data id, which dies with the tensor's values: an update of a parameter brings a new one. */
  readonly #packed = new WeakMap<object, Packed>();
  readonly #seen = new WeakSet<object>();
  #scratch = new Float32Array(0);

  constructor(kernels: NativeKernels) {
    super();
    this.#kernels = kernels;
    // Or tfjs's backend greets on the console at its first use.
    (this as unknown as { firstUse: boolean }).firstUse = false;
  }

  /** The values of a tensor, as a kernel reads them: float32 in a Float32Array, int32 in an Int32Array. */
  values({ dataId, dtype }: tf.TensorInfo): Values {
    const values = this.data.get(dataId).values as Values;
    // tfjs's cast changes the type alone, and its JavaScript kernels take plain arrays too.
    if (dtype === 'float32' && !(values instanceof Float32Array)) return Float32Array.from(values);
    if (dtype === 'int32' && !(values instanceof Int32Array)) return Int32Array.from(values);
    return values;
  }

  /** A new tensor, for a kernel to fill. */
  output(shape: number[], dtype: 'float32' | 'int32' = 'float32'): tf.TensorInfo {
    const size = tf.util.sizeFromShape(shape);
    return this.makeTensorInfo(shape, dtype, dtype === 'float32' ? new Float32Array(size) : new Int32Array(size));
  }

  /** A matrix as the product kernel takes it, kept as long as the matrix lives. */
  packed(matrix: tf.TensorInfo, form: keyof Packed): Float32Array {
    let held = this.#packed.get(matrix.dataId);
    if (!held) {
      held = {};
      this.#packed.set(matrix.dataId, held);
    }
    held[form] ??= this.#pack(matrix, form, new Float32Array(packedSize(matrix, form)));
    return held[form];
  }

  /** The same where it is kept already; else packed for this one call, good until the next. */
  packedOnce(matrix: tf.TensorInfo, form: keyof Packed): Float32Array {
    const kept = this.#packed.get(matrix.dataId)?.[form];
    if (kept) return kept;
    const size = packedSize(matrix, form);
    if (this.#scratch.length < size) this.#scratch = new Float32Array(size);
    return this.#pack(matrix, form, this.#scratch);
  }

  /** The same for a matrix that may come once or often: packed for the call at first, kept from its second use on. */
  packedIfReused(matrix: tf.TensorInfo, form: keyof Packed): Float32Array {
    if (this.#seen.has(matrix.dataId)) return this.packed(matrix, form);
    this.#seen.add(matrix.dataId);
    return this.packedOnce(matrix, form);
  }

  #pack(matrix: tf.TensorInfo, form: keyof Packed, to: Float32Array): Float32Array {
    const [K, N] = operandShape(matrix, form);
    this.#kernels.packMatrix!([this.values(matrix), to], [K, N, form === 'transposed' ? 1 : 0]);
    return to;
  }
}

function operandShape({ shape }: tf.TensorInfo, form: keyof Packed): [K: number, N: number] {
  const [rows, columns] = shape as [number, number];
  return form === 'plain' ? [rows, columns] : [columns, rows];
}

function packedSize(matrix: tf.TensorInfo, form: keyof Packed): number {
  const [K, N] = operandShape(matrix, form);
  return Math.ceil(N / PANEL) * PANEL * K;
}
