// Everything that touches the vocabulary. A chunk of rows at a time: of [positions, V] no more than a few copies of one
// chunk are held, neither here nor in the backward pass, which computes each chunk's logits again. That pass also holds
// the gradient [V, d], twice while a chunk's is added.
// Letters: N positions, d hidden size, V vocabulary size, z logits, τ temperature.
import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';
import { linear } from './linear.js';
import { asMatrix, lastDim, matMul } from './matMul.js';

/** The logits that one chunk holds: 4 MB in float32, to bound memory. */
const CHUNK_LOGITS = 2 ** 20;

/**
 * The fewest rows of a chunk, above CHUNK_LOGITS if it must be: each chunk of the backward pass adds a whole [V, d] to the
 * gradient, and too few rows are not worth that traffic. At V = 128k: 34 MB.
 */
const CHUNK_ROWS = 64;

/** Row ranges `[begin, size]` of the chunks. */
function chunks(N: number, V: number): Array<[begin: number, size: number]> {
  const rows = Math.max(CHUNK_ROWS, Math.floor(CHUNK_LOGITS / V));
  return Array.from({ length: Math.ceil(N / rows) }, (_, i) => [i * rows, Math.min(rows, N - i * rows)]);
}

/** Sums over the chunks; a gradient that is not wanted is not among them. */
type Sums<S extends string> = { [name in S]?: tf.Tensor };

/** Applies `f` to every chunk and joins each of its results: rows are concatenated, sums are added. */
function mapChunks<R extends string, S extends string>(
  N: number,
  V: number,
  f: (rows: (x: tf.Tensor) => tf.Tensor2D) => { rows: Record<R, tf.Tensor>; sums: Sums<S> },
): { rows: Record<R, tf.Tensor>; sums: Sums<S> } {
  const rows = {} as Record<R, tf.Tensor[]>;
  let sums: Sums<S> | undefined;
  for (const [begin, size] of chunks(N, V)) {
    const part = tf.tidy(() => f((x) => tf.slice(x, begin, size) as tf.Tensor2D));
    for (const name in part.rows) {
      rows[name] ??= [];
      rows[name].push(part.rows[name]);
    }
    if (!sums) {
      sums = part.sums;
    } else {
      for (const name in part.sums) {
        const [sum, more] = [sums[name]!, part.sums[name]!];
        sums[name] = tf.add(sum, more);
        tf.dispose([sum, more]);
      }
    }
  }
  const joined = {} as Record<R, tf.Tensor>;
  for (const name in rows) joined[name] = rows[name].length === 1 ? rows[name][0]! : tf.concat(rows[name], 0);
  return { rows: joined, sums: sums ?? {} };
}

/** (z - max z) / τ, the maximum taken off first: for large z or τ = 1e-4 that keeps the digits that matter. */
function gaps(z: tf.Tensor2D, temperature: number): tf.Tensor2D {
  return tf.div(tf.sub(z, tf.max(z, -1, true)), temperature);
}

/** softmax(z / τ). */
function softmaxAt(z: tf.Tensor2D, temperature: number): tf.Tensor2D {
  return tf.softmax(gaps(z, temperature));
}

/**
 * Logits of every position:
 *
 *   z = W h
 *
 * - `hidden`: `[..., d]`; `weight`: `[V, d]`; returns `[..., V]`, float32
 *
 * Holds all of `[..., V]`: meant for one position a sequence, when decoding. Differentiable.
 *
 * @example headLogits(tf.ones([2, 8]), lmHead); // [2, V]
 */
export const headLogits: (hidden: tf.Tensor, weight: tf.Tensor2D) => tf.Tensor = linear;

type LogProbInputs = { hidden: tf.Tensor2D; weight: tf.Tensor2D };
type Temperature = { temperature: number };

const logProbOp = fusedOp<LogProbInputs, { ids: tf.Tensor1D }, Temperature>({
  name: 'HeadLogProb',
  definition: ({ hidden, weight }, { ids }, { temperature }) => {
    const transposed = tf.transpose(weight) as tf.Tensor2D;
    return mapChunks(hidden.shape[0], weight.shape[0], (rows) => {
      const z = gaps(matMul(rows(hidden), transposed), temperature);
      const chosen = tf.stack([tf.range(0, z.shape[0], 1, 'int32'), rows(ids)], 1);
      return { rows: { logProb: tf.sub(tf.gatherND(z, chosen), tf.log(tf.sum(tf.exp(z), -1))) }, sums: {} };
    }).rows.logProb;
  },
  gradient: (dy, { hidden, weight }, { ids }, { temperature }, wanted) => {
    const transposed = tf.transpose(weight) as tf.Tensor2D;
    const { rows, sums } = mapChunks(hidden.shape[0], weight.shape[0], (rows) => {
      const h = rows(hidden);
      const p = softmaxAt(matMul(h, transposed), temperature);
      const oneHot = tf.oneHot(rows(ids) as unknown as tf.Tensor1D, weight.shape[0]);
      const dz = tf.mul(tf.sub(oneHot, p), tf.expandDims(tf.div(rows(dy), temperature), 1)) as tf.Tensor2D;
      return {
        rows: { hidden: matMul(dz, weight) },
        sums: { ...(wanted('weight') && { weight: matMul(dz, h, true, false) }) },
      };
    });
    return { hidden: rows.hidden, weight: sums.weight };
  },
});

/**
 * The log-probability of one id a position:
 *
 *   y = log softmax(z / τ)[id],   dz = (onehot(id) - softmax(z / τ)) dy / τ,   z = W h
 *
 * - `hidden`: `[..., d]`; `weight`: `[V, d]`; `ids`: `[...]` int32; `temperature` τ > 0; returns `[...]`, in nats
 *
 * @throws RangeError for a temperature that is not positive, or shapes that do not fit.
 * @throws TypeError when the ids are not int32.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 3 and 4.
 * @example headLogProb(hidden, lmHead, ids, 1); // [B, T]
 */
export function headLogProb(hidden: tf.Tensor, weight: tf.Tensor2D, ids: tf.Tensor, temperature: number): tf.Tensor {
  requirePositive('headLogProb', temperature);
  requireWidth('headLogProb', hidden, weight);
  if (ids.dtype !== 'int32')
    throw new TypeError(`headLogProb: expected ids of dtype int32, got ${ids.dtype}; cast them`);
  if (ids.size * lastDim(hidden) !== hidden.size) {
    throw new RangeError(
      `headLogProb: expected one id for each position of hidden [${hidden.shape}], got [${ids.shape}]; ` +
        'give ids without the last axis',
    );
  }
  return tf.tidy(() => {
    const inputs = { hidden: asMatrix(hidden), weight };
    return tf.reshape(logProbOp(inputs, { ids: tf.reshape(ids, [-1]) }, { temperature }), ids.shape);
  });
}

type MixtureInputs = { hidden: tf.Tensor2D; weight: tf.Tensor2D; embedding: tf.Tensor2D };

const mixtureOp = fusedOp<MixtureInputs, Record<string, never>, Temperature>({
  name: 'HeadMixture',
  definition: ({ hidden, weight, embedding }, _, { temperature }) => {
    const transposed = tf.transpose(weight) as tf.Tensor2D;
    return mapChunks(hidden.shape[0], weight.shape[0], (rows) => {
      const p = softmaxAt(matMul(rows(hidden), transposed), temperature);
      return { rows: { mixture: matMul(p, embedding) }, sums: {} };
    }).rows.mixture;
  },
  gradient: (dy, { hidden, weight, embedding }, _, { temperature }, wanted) => {
    const transposed = tf.transpose(weight) as tf.Tensor2D;
    const { rows, sums } = mapChunks(hidden.shape[0], weight.shape[0], (rows) => {
      const [h, dm] = [rows(hidden), rows(dy)];
      const p = softmaxAt(matMul(h, transposed), temperature);
      const dp = matMul(dm, embedding, false, true);
      const dz = tf.div(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(p, dp), -1, true))), temperature) as tf.Tensor2D;
      return {
        rows: { hidden: matMul(dz, weight) },
        sums: {
          ...(wanted('weight') && { weight: matMul(dz, h, true, false) }),
          ...(wanted('embedding') && { embedding: matMul(p, dm, true, false) }),
        },
      };
    });
    return { hidden: rows.hidden, weight: sums.weight, embedding: sums.embedding };
  },
});

/**
 * The mixture of all token embeddings under the model's next-token distribution:
 *
 *   m = p E,   p = softmax(z / τ),   z = W h
 *   dp = dm Eᵀ,   dz = p (dp - Σ p dp) / τ,   dE = pᵀ dm
 *
 * - `hidden`: `[..., d]`; `weight` W: `[V, d]`; `embedding` E: `[V, e]`; `temperature` τ > 0; returns `[..., e]`
 *
 * W and E may be one tensor (tied embeddings): its gradient is then the sum of both.
 *
 * @throws RangeError for a temperature that is not positive, or shapes that do not fit.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 5.
 * @example headMixture(hidden, lmHead, embedTokens, 0.5); // [B, T, d]
 */
export function headMixture(
  hidden: tf.Tensor,
  weight: tf.Tensor2D,
  embedding: tf.Tensor2D,
  temperature: number,
): tf.Tensor {
  requirePositive('headMixture', temperature);
  requireWidth('headMixture', hidden, weight);
  if (embedding.shape[0] !== weight.shape[0]) {
    throw new RangeError(
      `headMixture: expected an embedding of ${weight.shape[0]} rows (weight [${weight.shape}]), got [${embedding.shape}]; ` +
        'take both from one checkpoint',
    );
  }
  return tf.tidy(() => {
    const mixture = mixtureOp({ hidden: asMatrix(hidden), weight, embedding }, {}, { temperature });
    return tf.reshape(mixture, [...hidden.shape.slice(0, -1), lastDim(embedding)]);
  });
}

function requirePositive(where: string, temperature: number): void {
  if (!(temperature > 0)) {
    throw new RangeError(`${where}: expected a temperature > 0, got ${temperature}; for τ → 0 take the argmax`);
  }
}

function requireWidth(where: string, hidden: tf.Tensor, weight: tf.Tensor2D): void {
  if (lastDim(hidden) !== weight.shape[1]) {
    throw new RangeError(
      `${where}: expected hidden of width ${weight.shape[1]} (weight [${weight.shape}]), got [${hidden.shape}]; ` +
        'take both from one model',
    );
  }
}
