// The fused operations of src/ops by C++ kernels; the order of arrays and numbers is that of native/ops.
import * as tf from '@tensorflow/tfjs-core';
import { type Call, type NativeBackend, type Operand, PLAIN, type Run, TRANSPOSED } from './backend.js';

const width = ({ shape }: tf.TensorInfo): number => shape.at(-1) ?? 1;
const size = ({ shape }: tf.TensorInfo): number => tf.util.sizeFromShape(shape);

/** The ids, once each is known to be a row: anything else would read or write beside the tensor. */
function checkedIds(where: string, ids: ArrayLike<number>, V: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!(id >= 0 && id < V))
      throw new RangeError(
        `${where}: ids[${i}]: expected an id in 0..${V - 1}, got ${id}; use the tokenizer that belongs to the table`,
      );
  }
}

/** The transpose of a weight `[N, K]`, to multiply so many rows with; only floats are kept in another form. */
function transposed(backend: NativeBackend, weight: tf.TensorInfo, rows: number): Operand {
  if (weight.dtype === 'float32') return backend.transposed(weight, rows);
  return { values: backend.floats(weight), form: TRANSPOSED };
}

/** Whether the gradient of an input is wanted: of a frozen weight it is not, and its place in the results is left out. */
const wants = ({ unwanted }: Record<string, unknown>, name: string): boolean =>
  !(unwanted as string[] | undefined)?.includes(name);

/** The outputs that are wanted, in their order; one that was made all the same goes. */
const wanted = ({ attrs, backend }: Call, outputs: Record<string, tf.TensorInfo | undefined>): tf.TensorInfo[] =>
  Object.entries(outputs).flatMap(([name, output]) => {
    if (output && wants(attrs, name)) return [output];
    if (output) backend.disposeIntermediateTensorInfo(output);
    return [];
  });

/** The values of an output; for one that is not made something to pass in its place. */
const written = (backend: NativeBackend, output: tf.TensorInfo | undefined): Float32Array =>
  output ? backend.floats(output) : nothing;

const nothing = new Float32Array(0);

/** Logits that the head's kernels hold at a time: 128 MB. */
const CHUNK = 2 ** 25;

/** Rows of a chunk, alike in size, and the distance of their logits: no power of two, for the sake of the caches. */
function chunks(N: number, V: number): { C: number; S: number } {
  const S = Math.ceil(V / 16) * 16 + 16;
  const count = Math.max(1, Math.ceil((N * S) / CHUNK));
  return { C: Math.ceil(N / count), S };
}

export const fusedKernels: Record<string, Run> = {
  Linear({ inputs: { x, weight }, backend, kernels }) {
    const [M, K] = x!.shape as [number, number];
    const N = weight!.shape[0]!;
    const y = backend.output([M, N]);
    const { values, form } = transposed(backend, weight!, M);
    kernels.matMul!([backend.floats(x!), values, backend.floats(y)], [M, N, K, 0, form]);
    return y;
  },
  LinearGrad({ inputs: { dy, x, weight }, attrs, backend, kernels }) {
    const [M, K] = x!.shape as [number, number];
    const N = weight!.shape[0]!;
    const outputs: tf.TensorInfo[] = [];
    if (wants(attrs, 'x')) {
      const dx = backend.output([M, K]);
      kernels.matMul!([backend.floats(dy!), backend.floats(weight!), backend.floats(dx)], [M, K, N, 0, PLAIN]);
      outputs.push(dx);
    }
    if (wants(attrs, 'weight')) {
      const dw = backend.output([N, K]);
      kernels.matMul!([backend.floats(dy!), backend.floats(x!), backend.floats(dw)], [N, K, M, 1, PLAIN]);
      outputs.push(dw);
    }
    return outputs;
  },
  RmsNorm({ inputs: { x, weight }, attrs, backend, kernels }) {
    const y = backend.output(x!.shape);
    const d = width(x!);
    kernels.rmsNorm!(
      [backend.floats(x!), backend.floats(weight!), backend.floats(y)],
      [size(x!) / d, d, attrs.eps as number],
    );
    return y;
  },
  RmsNormGrad(call) {
    const { inputs, attrs, backend, kernels } = call;
    const { dy, x, weight } = inputs;
    const dx = backend.output(x!.shape);
    const dw = wants(attrs, 'weight') ? backend.output(weight!.shape) : undefined;
    const d = width(x!);
    kernels.rmsNormGrad!(
      [...[dy!, x!, weight!, dx].map((tensor) => backend.floats(tensor)), written(backend, dw)],
      [size(x!) / d, d, attrs.eps as number, Number(dw !== undefined)],
    );
    return wanted(call, { x: dx, weight: dw });
  },
  SwiGlu: gated('swiGlu'),
  SwiGluGrad: gatedGrad('swiGluGrad'),
  GeGlu: gated('geGlu'),
  GeGluGrad: gatedGrad('geGluGrad'),
  Rotary: rotary(1),
  RotaryGrad: rotary(-1),
  EmbeddingLookup({ inputs: { table, ids }, backend, kernels }) {
    const [V, d] = table!.shape as [number, number];
    const N = ids!.shape[0]!;
    checkedIds('embedding', backend.values(ids!), V);
    const y = backend.output([N, d]);
    kernels.embeddingLookup!([backend.floats(table!), backend.values(ids!), backend.floats(y)], [N, d, V]);
    return y;
  },
  EmbeddingLookupGrad({ inputs: { dy, table, ids }, backend, kernels }) {
    const [V, d] = table!.shape as [number, number];
    checkedIds('embedding', backend.values(ids!), V);
    const dtable = backend.output([V, d]);
    kernels.embeddingLookupGrad!(
      [backend.floats(dy!), backend.values(ids!), backend.floats(dtable)],
      [ids!.shape[0]!, d, V],
    );
    return [dtable];
  },
  HeadLogProb({ inputs: { hidden, weight, ids }, attrs, backend, kernels }) {
    const [N, d] = hidden!.shape as [number, number];
    const V = weight!.shape[0]!;
    checkedIds('headLogProb', backend.values(ids!), V);
    const y = backend.output([N]);
    const w = transposed(backend, weight!, N);
    const { C, S } = chunks(N, V);
    backend.withScratch(C * S, (scratch) =>
      kernels.headLogProb!(
        [backend.floats(hidden!), w.values, backend.values(ids!), scratch, backend.floats(y)],
        [N, d, V, 0, C, S, attrs.temperature as number, w.form],
      ),
    );
    return y;
  },
  HeadLogProbGrad(call) {
    const { inputs, attrs, backend, kernels } = call;
    const { dy, hidden, weight, ids } = inputs;
    const [N, d] = hidden!.shape as [number, number];
    const V = weight!.shape[0]!;
    checkedIds('headLogProb', backend.values(ids!), V);
    const dhidden = backend.output([N, d]);
    const dw = wants(attrs, 'weight') ? backend.output([V, d]) : undefined;
    const w = backend.floats(weight!);
    const { C, S } = chunks(N, V);
    backend.withScratch(C * S, (scratch) =>
      kernels.headLogProbGrad!(
        [
          ...[backend.floats(dy!), backend.floats(hidden!), w, backend.values(ids!), scratch],
          ...[backend.floats(dhidden), written(backend, dw)],
        ],
        [N, d, V, 0, C, S, attrs.temperature as number, Number(dw !== undefined)],
      ),
    );
    return wanted(call, { hidden: dhidden, weight: dw });
  },
  HeadMixture({ inputs: { hidden, weight, embedding }, attrs, backend, kernels }) {
    const [N, d] = hidden!.shape as [number, number];
    const [V, e] = embedding!.shape as [number, number];
    const mixture = backend.output([N, e]);
    const w = transposed(backend, weight!, N);
    const { C, S } = chunks(N, V);
    backend.withScratch(C * S, (scratch) =>
      kernels.headMixture!(
        [backend.floats(hidden!), w.values, backend.floats(embedding!), scratch, backend.floats(mixture)],
        [N, d, V, e, C, S, attrs.temperature as number, w.form],
      ),
    );
    return mixture;
  },
  HeadMixtureGrad(call) {
    const { inputs, attrs, backend, kernels } = call;
    const { dy, hidden, weight, embedding } = inputs;
    const [N, d] = hidden!.shape as [number, number];
    const [V, e] = embedding!.shape as [number, number];
    const dhidden = backend.output([N, d]);
    const dw = wants(attrs, 'weight') ? backend.output([V, d]) : undefined;
    const dE = wants(attrs, 'embedding') ? backend.output([V, e]) : undefined;
    const w = backend.floats(weight!);
    const { C, S } = chunks(N, V);
    backend.withScratch(2 * C * S, (scratch) =>
      kernels.headMixtureGrad!(
        [
          ...[backend.floats(dy!), backend.floats(hidden!), w, backend.floats(embedding!), scratch],
          ...[backend.floats(dhidden), written(backend, dw), written(backend, dE)],
        ],
        [N, d, V, e, C, S, attrs.temperature as number, Number(dw !== undefined), Number(dE !== undefined)],
      ),
    );
    return wanted(call, { hidden: dhidden, weight: dw, embedding: dE });
  },
  SumSquares({ inputs: { x }, backend, kernels }) {
    const sum = new Float64Array(1);
    kernels.sumSquares!([backend.floats(x!), sum], [size(x!)]);
    const y = backend.output([]);
    backend.floats(y)[0] = sum[0]!;
    return y;
  },
  AdamW({ inputs: { parameter, gradient, firstMoment, secondMoment }, attrs, backend, kernels }) {
    const outputs = [parameter!, firstMoment!, secondMoment!].map(({ shape }) => backend.output(shape));
    const { learningRate, beta1, beta2, eps, weightDecay, step } = attrs as Record<string, number>;
    kernels.adamW!(
      [parameter!, gradient!, firstMoment!, secondMoment!, ...outputs].map((tensor) => backend.floats(tensor)),
      [size(parameter!), learningRate!, beta1!, beta2!, eps!, weightDecay!, step!],
    );
    return outputs;
  },
};

function gated(kernel: string): Run {
  return ({ inputs: { gate, up }, backend, kernels }) => {
    const y = backend.output(gate!.shape);
    kernels[kernel]!([backend.floats(gate!), backend.floats(up!), backend.floats(y)], [size(gate!)]);
    return y;
  };
}

function gatedGrad(kernel: string): Run {
  return ({ inputs: { dy, gate, up }, backend, kernels }) => {
    const [dgate, dup] = [backend.output(gate!.shape), backend.output(up!.shape)];
    kernels[kernel]!(
      [dy!, gate!, up!, dgate, dup].map((tensor) => backend.floats(tensor)),
      [size(gate!)],
    );
    return [dgate, dup];
  };
}

function rotary(sign: 1 | -1): Run {
  return ({ inputs: { dy, x, cos, sin }, backend, kernels }) => {
    const y = backend.output(x!.shape);
    const [B, T, H, D] = x!.shape as [number, number, number, number];
    kernels.rotary!(
      [sign === 1 ? x! : dy!, cos!, sin!, y].map((tensor) => backend.floats(tensor)),
      [B, T, H, D, cos!.shape[0]!, sign],
    );
    return sign === 1 ? y : [y];
  };
}
