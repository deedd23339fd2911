// The fused operations of src/ops by C++ kernels; the order of arrays and numbers is that of native/ops.
import * as tf from '@tensorflow/tfjs-core';
import type { Run } from './backend.js';

const width = ({ shape }: tf.TensorInfo): number => shape.at(-1) ?? 1;
const size = ({ shape }: tf.TensorInfo): number => tf.util.sizeFromShape(shape);

/** The ids, once each is known to be a row: anything else would read or write beside the tensor. */
function checkedIds(where: string, ids: ArrayLike<number>, V: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!(id >= 0 && id < V)) throw new RangeError(`${where}: expected ids in 0..${V - 1}, got ${id}`);
  }
}

export const fusedKernels: Record<string, Run> = {
  Linear({ inputs: { x, weight }, backend, kernels }) {
    const [M, K] = x!.shape as [number, number];
    const N = weight!.shape[0]!;
    const y = backend.output([M, N]);
    kernels.matMulPacked!([backend.values(x!), backend.packed(weight!, 'transposed'), backend.values(y)], [M, N, K, 0]);
    return y;
  },
  LinearGrad({ inputs: { dy, x, weight }, backend, kernels }) {
    const [M, K] = x!.shape as [number, number];
    const N = weight!.shape[0]!;
    const [dx, dw] = [backend.output([M, K]), backend.output([N, K])];
    kernels.matMulPacked!(
      [backend.values(dy!), backend.packedOnce(weight!, 'plain'), backend.values(dx)],
      [M, K, N, 0],
    );
    kernels.batchMatMul!([backend.values(dy!), backend.values(x!), backend.values(dw)], [1, 1, 1, N, K, M, 1, 0]);
    return [dx, dw];
  },
  RmsNorm({ inputs: { x, weight }, attrs, backend, kernels }) {
    const y = backend.output(x!.shape);
    const d = width(x!);
    kernels.rmsNorm!(
      [backend.values(x!), backend.values(weight!), backend.values(y)],
      [size(x!) / d, d, attrs.eps as number],
    );
    return y;
  },
  RmsNormGrad({ inputs: { dy, x, weight }, attrs, backend, kernels }) {
    const [dx, dw] = [backend.output(x!.shape), backend.output(weight!.shape)];
    const d = width(x!);
    kernels.rmsNormGrad!(
      [dy!, x!, weight!, dx, dw].map((tensor) => backend.values(tensor)),
      [size(x!) / d, d, attrs.eps as number],
    );
    return [dx, dw];
  },
  SwiGlu({ inputs: { gate, up }, backend, kernels }) {
    const y = backend.output(gate!.shape);
    kernels.swiGlu!([backend.values(gate!), backend.values(up!), backend.values(y)], [size(gate!)]);
    return y;
  },
  SwiGluGrad({ inputs: { dy, gate, up }, backend, kernels }) {
    const [dgate, dup] = [backend.output(gate!.shape), backend.output(up!.shape)];
    kernels.swiGluGrad!(
      [dy!, gate!, up!, dgate, dup].map((tensor) => backend.values(tensor)),
      [size(gate!)],
    );
    return [dgate, dup];
  },
  Rotary: rotary(1),
  RotaryGrad: rotary(-1),
  EmbeddingLookup({ inputs: { table, ids }, backend, kernels }) {
    const [V, d] = table!.shape as [number, number];
    const N = ids!.shape[0]!;
    checkedIds('embedding', backend.values(ids!), V);
    const y = backend.output([N, d]);
    kernels.embeddingLookup!([backend.values(table!), backend.values(ids!), backend.values(y)], [N, d, V]);
    return y;
  },
  EmbeddingLookupGrad({ inputs: { dy, table, ids }, backend, kernels }) {
    const [V, d] = table!.shape as [number, number];
    checkedIds('embedding', backend.values(ids!), V);
    const dtable = backend.output([V, d]);
    kernels.embeddingLookupGrad!(
      [backend.values(dy!), backend.values(ids!), backend.values(dtable)],
      [ids!.shape[0]!, d, V],
    );
    return [dtable];
  },
  Attention({ inputs: { q, k, v }, attrs, backend, kernels }) {
    const y = backend.output(q!.shape);
    const padding = (attrs.padding as Int32Array | undefined) ?? new Int32Array(q!.shape[0]!);
    kernels.attention!(
      [backend.values(q!), backend.values(k!), backend.values(v!), padding, backend.values(y)],
      attentionSizes(q!, k!),
    );
    return y;
  },
  AttentionGrad({ inputs: { dy, q, k, v }, attrs, backend, kernels }) {
    const outputs = [backend.output(q!.shape), backend.output(k!.shape), backend.output(v!.shape)];
    const padding = (attrs.padding as Int32Array | undefined) ?? new Int32Array(q!.shape[0]!);
    kernels.attentionGrad!(
      [
        ...[dy!, q!, k!, v!].map((tensor) => backend.values(tensor)),
        padding,
        ...outputs.map((tensor) => backend.values(tensor)),
      ],
      attentionSizes(q!, k!),
    );
    return outputs;
  },
  HeadLogProb({ inputs: { hidden, weight, ids }, attrs, backend, kernels }) {
    const [N, d] = hidden!.shape as [number, number];
    const V = weight!.shape[0]!;
    checkedIds('headLogProb', backend.values(ids!), V);
    const y = backend.output([N]);
    kernels.headLogProb!(
      [backend.values(hidden!), backend.packed(weight!, 'transposed'), backend.values(ids!), backend.values(y)],
      [N, d, V, attrs.temperature as number],
    );
    return y;
  },
  HeadLogProbGrad({ inputs: { dy, hidden, weight, ids }, attrs, backend, kernels }) {
    const [N, d] = hidden!.shape as [number, number];
    const V = weight!.shape[0]!;
    checkedIds('headLogProb', backend.values(ids!), V);
    const [dhidden, dw] = [backend.output([N, d]), backend.output([V, d])];
    kernels.headLogProbGrad!(
      [
        backend.values(dy!),
        backend.values(hidden!),
        backend.packed(weight!, 'transposed'),
        backend.packedOnce(weight!, 'plain'),
        backend.values(ids!),
        backend.values(dhidden),
        backend.values(dw),
      ],
      [N, d, V, attrs.temperature as number],
    );
    return [dhidden, dw];
  },
  HeadMixture({ inputs: { hidden, weight, embedding }, attrs, backend, kernels }) {
    const [N, d] = hidden!.shape as [number, number];
    const [V, e] = embedding!.shape as [number, number];
    const mixture = backend.output([N, e]);
    kernels.headMixture!(
      [
        backend.values(hidden!),
        backend.packed(weight!, 'transposed'),
        backend.packed(embedding!, 'plain'),
        backend.values(mixture),
      ],
      [N, d, V, e, attrs.temperature as number],
    );
    return mixture;
  },
  HeadMixtureGrad({ inputs: { dy, hidden, weight, embedding }, attrs, backend, kernels }) {
    const [N, d] = hidden!.shape as [number, number];
    const [V, e] = embedding!.shape as [number, number];
    const outputs = [backend.output([N, d]), backend.output([V, d]), backend.output([V, e])];
    kernels.headMixtureGrad!(
      [
        backend.values(dy!),
        backend.values(hidden!),
        backend.packed(weight!, 'transposed'),
        backend.packedOnce(weight!, 'plain'),
        backend.packed(embedding!, 'transposed'),
        ...outputs.map((tensor) => backend.values(tensor)),
      ],
      [N, d, V, e, attrs.temperature as number],
    );
    return outputs;
  },
  AdamW({ inputs: { parameter, gradient, firstMoment, secondMoment }, attrs, backend, kernels }) {
    const outputs = [parameter!, firstMoment!, secondMoment!].map(({ shape }) => backend.output(shape));
    const { learningRate, beta1, beta2, eps, weightDecay, step } = attrs as Record<string, number>;
    kernels.adamW!(
      [parameter!, gradient!, firstMoment!, secondMoment!, ...outputs].map((tensor) => backend.values(tensor)),
      [size(parameter!), learningRate!, beta1!, beta2!, eps!, weightDecay!, step!],
    );
    return outputs;
  },
};

function rotary(sign: 1 | -1): Run {
  return ({ inputs: { dy, x, cos, sin }, backend, kernels }) => {
    const y = backend.output(x!.shape);
    const [B, T, H, D] = x!.shape as [number, number, number, number];
    kernels.rotary!(
      [sign === 1 ? x! : dy!, cos!, sin!, y].map((tensor) => backend.values(tensor)),
      [B, T, H, D, cos!.shape[0]!, sign],
    );
    return sign === 1 ? y : [y];
  };
}

function attentionSizes({ shape: [B, T, H, D] }: tf.TensorInfo, { shape: [, S, K] }: tf.TensorInfo): number[] {
  return [B!, T!, S!, H!, K!, D!];
}
