// The engine 'wasm' with kernels of our own: wasm/*.ts, compiled to dist/kernels.wasm, behind the names that the fused
// operations look for. What tfjs does there number by number is replaced: products of batches of matrices (Attention),
// the split of a last axis (Rotary), gathering rows and adding them up again (EmbeddingLookup).
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';

/** What this file uses of tfjs's own backend: tfjs-backend-wasm/src/backend_wasm.ts, tfjs 4.22. */
interface WasmBackend {
  /** A view of the heap, good until the next allocation. */
  typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array | Int32Array;
  /** Allocates; the values are whatever the memory held. */
  makeOutput(shape: number[], dtype: 'float32'): tf.TensorInfo;
}

// Of the platform's types, those used here: neither the ES library nor Node's types declare them without the DOM.
declare namespace WebAssembly {
  function validate(code: Uint8Array): boolean;
  class Module {
    constructor(code: Uint8Array);
  }
  class Instance {
    constructor(module: Module);
    readonly exports: unknown;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
}

/** The functions of the module; pointers are bytes. wasm/*.ts describes them. */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  readonly base: { readonly value: number };
  exponentials(row: number, count: number, n: number): number;
  attentionScratch(S: number, D: number): number;
  attention(...shapeAndPointers: number[]): void;
  attentionGradScratch(S: number, D: number): number;
  attentionGrad(...shapeAndPointers: number[]): void;
  rotary(positions: number, heads: number, half: number, sign: number, ...pointers: number[]): void;
}

/** How much of a batch goes through the module's memory at a time: as many rows as fit here, at least one. A cache's size. */
const CHUNK_BYTES = 1 << 20;

type Run = (inputs: Record<string, tf.TensorInfo>, backend: WasmBackend, attributes: object) => tf.TensorInfo[];

let kernels: Kernels | undefined;

/**
 * Registers the kernels for tfjs's backend 'wasm'. May be called again.
 *
 * Returns their module, or undefined on a machine without SIMD in WebAssembly, where the definitions run.
 *
 * @throws Error when dist/kernels.wasm cannot be read.
 */
export function registerWasmKernels(): Kernels | undefined {
  if (kernels) return kernels;
  // src/kernels and dist/kernels lie equally deep, so this is one file for both.
  const code = readFileSync(new URL('../../dist/kernels.wasm', import.meta.url));
  if (!WebAssembly.validate(code)) return undefined;
  const module = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as Kernels;
  kernels = module;

  const register = (kernelName: string, run: Run): void => {
    tf.registerKernel({
      kernelName,
      backendName: 'wasm',
      kernelFunc: ({ inputs, backend, attrs }) =>
        run(inputs as Record<string, tf.TensorInfo>, backend as WasmBackend, attrs ?? {}),
    });
  };
  const attention = (gradient: boolean): Run => {
    const kernel = gradient ? module.attentionGrad : module.attention;
    const scratchBytes = gradient ? module.attentionGradScratch : module.attentionScratch;
    return ({ dy, q, k, v }, backend, attributes) => {
      const { padding, window, scale } = attributes as { padding?: Int32Array; window: number; scale: number };
      const [B, T, H, D] = q!.shape as [number, number, number, number];
      const [, S, K] = k!.shape as [number, number, number, number];
      return runByRows(module, backend, B, {
        inputs: [padding ?? new Int32Array(B), ...(gradient ? [dy!] : []), q!, k!, v!],
        outputsLike: gradient ? [q!, k!, v!] : [q!],
        scratchBytes: scratchBytes(S, D),
        run: (rows, pointers) => kernel(rows, T, S, H, K, D, window, scale, ...pointers),
      });
    };
  };
  const rotary = (gradient: boolean): Run => {
    return ({ dy, x, cos, sin }, backend) => {
      const [B, T, H, D] = x!.shape as [number, number, number, number];
      const tableStep = cos!.shape[0] === B ? T * D * 2 : 0; // bytes; one table may serve all rows
      return runByRows(module, backend, B, {
        inputs: [gradient ? dy! : x!, cos!, sin!],
        outputsLike: [x!],
        scratchBytes: 0,
        run: (rows, [from, cosines, sines, to]) => {
          for (let b = 0; b < rows; b++) {
            const [row, table] = [b * T * H * D * 4, b * tableStep];
            module.rotary(T, H, D / 2, gradient ? -1 : 1, from! + row, cosines! + table, sines! + table, to! + row);
          }
        },
      });
    };
  };
  register('EmbeddingLookup', lookUp);
  register('EmbeddingLookupGrad', addUp);
  register('Attention', attention(false));
  register('AttentionGrad', attention(true));
  register('Rotary', rotary(false));
  register('RotaryGrad', rotary(true));
  return kernels;
}

/** Row n of the output is row `ids[n]` of the table: copies within tfjs's heap, `[V, d]`, `[N]` -> `[N, d]`. */
function lookUp({ table, ids }: Record<string, tf.TensorInfo>, backend: WasmBackend): tf.TensorInfo[] {
  const [V, d] = table!.shape as [number, number];
  const N = ids!.shape[0]!;
  const output = backend.makeOutput([N, d], 'float32');
  const rows = checkedIds(backend.typedArrayFromHeap(ids!), V);
  const to = backend.typedArrayFromHeap(output);
  const from = backend.typedArrayFromHeap(table!);
  const heap = new Float32Array(to.buffer);
  const [first, source] = [to.byteOffset / 4, from.byteOffset / 4];
  for (let n = 0; n < N; n++) {
    const start = source + rows[n]! * d;
    heap.copyWithin(first + n * d, start, start + d);
  }
  return [output];
}

/** Row v of the output is the sum of the rows n of `dy` with `ids[n]` = v, in the order of n: `[N, d]`, `[N]` -> `[V, d]`. */
function addUp({ dy, table, ids }: Record<string, tf.TensorInfo>, backend: WasmBackend): tf.TensorInfo[] {
  const [V, d] = table!.shape as [number, number];
  const output = backend.makeOutput([V, d], 'float32');
  const rows = checkedIds(backend.typedArrayFromHeap(ids!), V);
  const from = backend.typedArrayFromHeap(dy!);
  const to = backend.typedArrayFromHeap(output);
  to.fill(0);
  for (let n = 0; n < rows.length; n++) {
    const start = rows[n]! * d;
    for (let i = 0; i < d; i++) to[start + i]! += from[n * d + i]!;
  }
  return [output];
}

/** The ids, once each is known to be a row: anything else would read or write beside the tensor. */
function checkedIds(ids: Float32Array | Int32Array, V: number): Float32Array | Int32Array {
  const wrong = ids.findIndex((id) => !(id >= 0 && id < V));
  if (wrong >= 0) {
    throw new RangeError(
      `embedding: ids[${wrong}]: expected an id in 0..${V - 1}, got ${ids[wrong]}; ` +
        'use the tokenizer that belongs to the table',
    );
  }
  return ids;
}

interface Call {
  /** Tensors and arrays whose leading axis is the batch, or 1 for what all rows share. */
  inputs: (tf.TensorInfo | Int32Array)[];
  /** One output of the shape of each of these, whose leading axis is the batch. */
  outputsLike: tf.TensorInfo[];
  scratchBytes: number;
  /** Computes so many rows; the pointers are those of the inputs, the outputs and the scratch. */
  run(rows: number, pointers: number[]): void;
}

/**
 * Copies rows of the batch from tfjs's heap into the module's memory, runs the kernel, and copies its results back, a
 * chunk at a time: so the memory does not grow with the batch, and what is copied is still in the cache when it is used.
 */
function runByRows(
  { memory, base }: Kernels,
  backend: WasmBackend,
  B: number,
  { inputs, outputsLike, scratchBytes, run }: Call,
): tf.TensorInfo[] {
  const outputs = outputsLike.map(({ shape }) => backend.makeOutput(shape, 'float32'));
  if (B === 0) return outputs;

  // After the last allocation, so that the views of tfjs's heap stay good.
  const operands = [...inputs, ...outputs].map((x) => {
    const { buffer, byteOffset, byteLength } = x instanceof Int32Array ? x : backend.typedArrayFromHeap(x);
    const rows = x instanceof Int32Array ? x.length : x.shape[0]!;
    return { bytes: new Uint8Array(buffer, byteOffset, byteLength), rowBytes: byteLength / rows, shared: rows !== B };
  });
  const rowBytes = operands.reduce((sum, operand) => sum + operand.rowBytes, 0);
  const chunk = Math.min(B, Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)));

  // One after the other, each at a multiple of 16 bytes.
  const pointers: number[] = [];
  let end = base.value;
  for (const bytes of [...operands.map((x) => (x.shared ? 1 : chunk) * x.rowBytes), scratchBytes]) {
    const start = Math.ceil(end / 16) * 16;
    pointers.push(start);
    end = start + bytes;
  }
  // Kernels may read on from a buffer's end, by less than a row.
  const missing = end + rowBytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));

  const own = new Uint8Array(memory.buffer);
  for (let first = 0; first < B; first += chunk) {
    const rows = Math.min(chunk, B - first);
    operands.forEach(({ bytes, rowBytes, shared }, i) => {
      if (i >= inputs.length) return;
      own.set(shared ? bytes : bytes.subarray(first * rowBytes, (first + rows) * rowBytes), pointers[i]!);
    });
    run(rows, pointers);
    operands.forEach(({ bytes, rowBytes }, i) => {
      if (i < inputs.length) return;
      bytes.set(own.subarray(pointers[i]!, pointers[i]! + rows * rowBytes), first * rowBytes);
    });
  }
  return outputs;
}
