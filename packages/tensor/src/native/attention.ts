// Attention by C++ kernels, and the buffers that a cache grows in; the order of arrays and numbers is that of native/ops.
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Call, Run } from './backend.js';

type Inputs = Record<string, TensorInfo>;

export const attentionKernels: Record<string, Run> = {
  Attention: forward,
  AttentionGrad: backward,
  PrefixAttention: forward,
  PrefixAttentionGrad: backward,
  /** Writes `count` positions of two tensors `[B, T, K, D]` into two buffers `[B, capacity, K, D]`, in place. */
  CacheWrite({ inputs, attrs, backend, kernels }) {
    const { position, count } = attrs as { position: number; count: number };
    for (const [from, to] of [
      [inputs.keys!, inputs.keyBuffer!],
      [inputs.values!, inputs.valueBuffer!],
    ] as const) {
      const [B, T, K, D] = from.shape as [number, number, number, number];
      const [fromStride, toStride] = [T * K * D, to.shape[1]! * K * D];
      kernels.copyBlocks!(
        [backend.floats(from), backend.values(to)],
        [B, count * K * D, fromStride, toStride, 0, position * K * D],
      );
    }
    return [];
  },
};

function forward({ inputs, attrs, backend, kernels }: Call): TensorInfo {
  const y = backend.output(inputs.q!.shape);
  const arrays = [...sources(['q', 'k', 'v'], inputs, attrs, backend), backend.floats(y)];
  (inSegments(inputs, attrs) ? kernels.prefixAttention! : kernels.attention!)(arrays, sizes(inputs, attrs));
  return y;
}

function backward({ inputs, attrs, backend, kernels }: Call): TensorInfo[] {
  const names = ['q', 'k', 'v', ...(inputs.prefixKeys ? ['prefixKeys', 'prefixValues'] : [])];
  const outputs = names.map((name) => backend.output(inputs[name]!.shape));
  const arrays = [
    ...sources(['dy', 'q', 'k', 'v'], inputs, attrs, backend),
    ...outputs.map((tensor) => backend.floats(tensor)),
  ];
  (inSegments(inputs, attrs) ? kernels.prefixAttentionGrad! : kernels.attentionGrad!)(arrays, sizes(inputs, attrs));
  return outputs;
}

/** Whether the keys of a row are more, or less, than one whole piece of `k`. */
function inSegments({ prefixKeys, k }: Inputs, { length = k!.shape[1]! }: Call['attrs']): boolean {
  return prefixKeys !== undefined || length !== k!.shape[1];
}

/** The named inputs, padding and, in segments, prefix keys, prefix values and rows: empty ones where P is 0. */
function sources(names: readonly string[], inputs: Inputs, attrs: Call['attrs'], backend: Call['backend']) {
  const none = new Int32Array(inputs.q!.shape[0]!);
  const { padding = none, rows = none } = attrs as { padding?: Int32Array; rows?: Int32Array };
  const values = (name: string) => (inputs[name] ? backend.floats(inputs[name]) : new Float32Array(0));
  const prefix = [values('prefixKeys'), values('prefixValues'), rows];
  return [...names.map(values), padding, ...(inSegments(inputs, attrs) ? prefix : [])];
}

/** B, T, S, H, K, D, window, scale and, for segments, P, capacity, R. */
function sizes({ q, k, prefixKeys }: Inputs, attrs: Call['attrs']): number[] {
  const [B, T, H, D] = q!.shape as [number, number, number, number];
  const [, capacity, K] = k!.shape as [number, number, number, number];
  const [R, P] = (prefixKeys?.shape ?? [0, 0]) as [number, number];
  const { length, window, scale } = attrs as { length: number; window: number; scale: number };
  return [B, T, P + length, H, K, D, window, scale, P, capacity, R];
}
