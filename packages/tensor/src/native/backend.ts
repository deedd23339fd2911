// The tfjs backend 'native': tensors in typed arrays, as tfjs's JavaScript backend keeps them, and every operation from
// there until a C++ kernel takes its place.
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import type { EngineMemory } from '../engine.js';
import type { Addon, NativeKernels } from './addon.js';
import { BufferPool } from './pool.js';

/** The values of a tensor, where they lie. */
type Values = Float32Array | Int32Array | Uint8Array;

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

/** How the second operand of a product lies in memory (native/ops/matMul.h). */
export const PLAIN = 0;
export const TRANSPOSED = 1;
export const PACKED = 2;

/** A panel of the packed form: so many columns. */
const PANEL = 32;

/** Up to so many rows, packing the matrix anew costs more than the product with it. */
const FEW_ROWS = 128;

/** The second operand of a product. */
export interface Operand {
  values: Values;
  form: typeof TRANSPOSED | typeof PACKED;
}

/** What tfjs's backend keeps of a tensor, and what we keep beside it. */
interface TensorData {
  values: Values;
  refCount: number;
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
  /** The pool's memory under the values; gone once others than our kernels may hold on to them. */
  block?: ArrayBuffer | undefined;
  /** The transpose of the matrix, packed: kept from its first product with few rows on, as long as the values live. */
  packed?: Packed | undefined;
}

/** An array, and the pool's memory under it. */
interface Memory {
  values: Float32Array;
  block: ArrayBuffer | undefined;
}

/** The panels of a weight `[N, K]`: of the shape that it had, since values may be read in another (`reshape`). */
interface Packed extends Memory {
  N: number;
  K: number;
}

/** Everything that reads a tensor's values through tfjs comes by `get`, and may keep them. */
class Storage extends tf.DataStorage<TensorData> {
  readonly #pool: BufferPool;

  constructor(backend: NativeBackend, pool: BufferPool) {
    super(backend, tf.engine());
    this.#pool = pool;
  }

  override get(dataId: tf.DataId): TensorData {
    const data = super.get(dataId);
    if (data?.block) this.#pool.leave(data.block);
    if (data) data.block = undefined;
    return data;
  }

  /** For those who keep nothing. */
  peek(dataId: tf.DataId): TensorData {
    return super.get(dataId);
  }
}

export class NativeBackend extends MathBackendCPU {
  readonly #kernels: NativeKernels;
  readonly #pool: BufferPool;

  constructor({ kernels, allocate, free }: Addon) {
    super();
    this.#kernels = kernels;
    this.#pool = new BufferPool({ allocate, free });
    this.data = new Storage(this, this.#pool) as unknown as MathBackendCPU['data'];
    // Or tfjs's backend greets on the console at its first use.
    (this as unknown as { firstUse: boolean }).firstUse = false;
  }

  /** Of all tensors larger than 1 kB that a native kernel made. */
  get engineMemory(): EngineMemory {
    return this.#pool.memory;
  }

  #peek(dataId: tf.DataId): TensorData {
    return (this.data as unknown as Storage).peek(dataId);
  }

  /** The values of a tensor, as a kernel reads them: float32 in a Float32Array, int32 in an Int32Array. */
  values({ dataId, dtype }: tf.TensorInfo): Values {
    const { values } = this.#peek(dataId);
    // tfjs's cast changes the type alone, and its JavaScript kernels take plain arrays too.
    if (dtype === 'float32' && !(values instanceof Float32Array)) return Float32Array.from(values);
    if (dtype === 'int32' && !(values instanceof Int32Array)) return Int32Array.from(values);
    return values;
  }

  /** The values as they lie, whatever the type says: tfjs's cast from bool to int32 leaves bytes. */
  stored({ dataId }: tf.TensorInfo): Values {
    return this.#peek(dataId).values;
  }

  /** The values of a tensor as floats, those of int32 and bool converted: for kernels that read nothing else. */
  floats(tensor: tf.TensorInfo): Float32Array {
    const { dtype } = tensor;
    if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') {
      throw new TypeError(`native: expected a tensor of dtype float32, got ${dtype}; cast it`);
    }
    const values = this.values(tensor);
    return values instanceof Float32Array ? values : Float32Array.from(values);
  }

  /** A new tensor, of any content: for a kernel to fill. */
  output(shape: number[], dtype: 'float32' | 'int32' = 'float32'): tf.TensorInfo {
    const size = tf.util.sizeFromShape(shape);
    const block = this.#pool.take(4 * size);
    const ArrayType = dtype === 'float32' ? Float32Array : Int32Array;
    const info = this.makeTensorInfo(shape, dtype, block ? new ArrayType(block, 0, size) : new ArrayType(size));
    if (block) this.#peek(info.dataId).block = block;
    return info;
  }

  override refCount(dataId: tf.DataId): number {
    return this.data.has(dataId) ? this.#peek(dataId).refCount : 0;
  }

  override incRef(dataId: tf.DataId): void {
    this.#peek(dataId).refCount++;
  }

  override decRef(dataId: tf.DataId): void {
    if (this.data.has(dataId)) this.#peek(dataId).refCount--;
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const data = this.#peek(dataId);
    data.refCount--;
    if (!force && data.refCount > 0) return false;
    if (data.complexTensorInfos) {
      this.disposeData(data.complexTensorInfos.real.dataId, true);
      this.disposeData(data.complexTensorInfos.imag.dataId, true);
    }
    if (data.block) this.#pool.give(data.block);
    this.#unpack(data);
    this.data.delete(dataId);
    return true;
  }

  /** A copy for values in the pool's memory, which other tensors will come to lie in. */
  override readSync(dataId: tf.DataId): tf.BackendValues {
    const { block, values } = this.#peek(dataId);
    return block ? values.slice() : super.readSync(dataId);
  }

  /** The transpose of a weight `[N, K]`, to multiply so many rows with. */
  transposed(weight: tf.TensorInfo, rows: number): Operand {
    const data = this.#peek(weight.dataId);
    const [N, K] = weight.shape as [number, number];
    // A weight whose gradient will be taken is about to change: memory is worth more then.
    const changes = takesGradient();
    if (data.packed && (changes || data.packed.N !== N || data.packed.K !== K)) this.#unpack(data);
    if (!data.packed && rows <= FEW_ROWS && !changes) data.packed = this.#pack(weight, N, K);
    return data.packed
      ? { values: data.packed.values, form: PACKED }
      : { values: this.values(weight), form: TRANSPOSED };
  }

  /** Runs `f` with an array of any content, good until it returns. */
  withScratch<R>(size: number, f: (scratch: Float32Array) => R): R {
    const { values, block } = this.#memory(size);
    try {
      return f(values);
    } finally {
      if (block) this.#pool.give(block);
    }
  }

  #unpack(data: TensorData): void {
    if (data.packed?.block) this.#pool.give(data.packed.block);
    data.packed = undefined;
  }

  #pack(weight: tf.TensorInfo, N: number, K: number): Packed {
    const memory = this.#memory(Math.ceil(N / PANEL) * PANEL * K);
    this.#kernels.packMatrix!([this.values(weight), memory.values], [K, N, TRANSPOSED]);
    return { ...memory, N, K };
  }

  #memory(size: number): Memory {
    const block = this.#pool.take(4 * size);
    return { values: block ? new Float32Array(block, 0, size) : new Float32Array(size), block };
  }
}

/** Whether what is computed now is part of a forward pass whose gradient will be taken. */
function takesGradient(): boolean {
  return (tf.engine().state as unknown as { gradientDepth: number }).gradientDepth > 0;
}
