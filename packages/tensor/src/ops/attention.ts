// Causal attention with grouped heads, a cache and left padding.
// Letters: B batch, T query positions, S key positions, H query heads, K key/value heads, D head dimension.
import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';

export interface AttentionOptions {
  /** Keys before `padding[b]` are left padding, which no query of row b attends to. */
  padding?: Int32Array | undefined;
}

type Inputs = { q: tf.Tensor4D; k: tf.Tensor4D; v: tf.Tensor4D };
type Attributes = { padding: Int32Array | undefined };

// Finite, so that a query without any key (a padding position) gives finite numbers, which nothing reads.
const MASKED = -1e30;

/** `[B, T, H, D]` -> `[B K, (H/K) T, D]`: the query heads that share a key head stand under one another. */
function groupHeads(x: tf.Tensor4D, K: number): tf.Tensor3D {
  const [B, T, H, D] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [B * K, (H / K) * T, D]);
}

/** The inverse of `groupHeads`. */
function ungroupHeads(x: tf.Tensor3D, [B, T, H, D]: [number, number, number, number]): tf.Tensor4D {
  return tf.transpose(tf.reshape(x, [B, H, T, D]), [0, 2, 1, 3]);
}

/** 0 where query t may attend to key s, MASKED elsewhere: s <= S - T + t; shape `[1, 1, T, S]`. */
function causalMask(T: number, S: number): tf.Tensor4D {
  const mask = new Float32Array(T * S);
  for (let t = 0; t < T; t++) mask.fill(MASKED, t * S + S - T + t + 1, (t + 1) * S);
  return tf.tensor4d(mask, [1, 1, T, S]);
}

/** 0 for keys of the sequence, MASKED for its left padding; shape `[B, 1, 1, S]`. */
function paddingMask(padding: Int32Array, S: number): tf.Tensor4D {
  const mask = new Float32Array(padding.length * S);
  padding.forEach((n, b) => {
    mask.fill(MASKED, b * S, b * S + n);
  });
  return tf.tensor4d(mask, [padding.length, 1, 1, S]);
}

/** softmax(q kᵀ / √D + mask) with q, k grouped: `[B K, (H/K) T, S]`. */
function attentionWeights(q: tf.Tensor3D, k: tf.Tensor3D, [B, T, H, D]: number[], padding?: Int32Array): tf.Tensor3D {
  const S = k.shape[1];
  let scores = tf.reshape(tf.matMul(tf.mul(q, (D as number) ** -0.5), k, false, true), [B!, H!, T!, S]);
  if (T! > 1) scores = tf.add(scores, causalMask(T!, S));
  if (padding?.some((n) => n > 0)) scores = tf.add(scores, paddingMask(padding, S));
  return tf.reshape(tf.softmax(scores), [q.shape[0], q.shape[1], S]);
}

const op = fusedOp<Inputs, Record<string, never>, Attributes>({
  name: 'Attention',
  definition: ({ q, k, v }, _, { padding }) => {
    const K = k.shape[2];
    const weights = attentionWeights(groupHeads(q, K), groupHeads(k, K), q.shape, padding);
    return ungroupHeads(tf.matMul(weights, groupHeads(v, K)), q.shape);
  },
  gradient: (dy, { q, k, v }, _, { padding }) => {
    const [K, D] = [k.shape[2], q.shape[3]];
    const [qg, kg, vg, dyg] = [q, k, v, dy as tf.Tensor4D].map((x) => groupHeads(x, K)) as [
      tf.Tensor3D,
      tf.Tensor3D,
      tf.Tensor3D,
      tf.Tensor3D,
    ];
    const p = attentionWeights(qg, kg, q.shape, padding);
    const dp = tf.matMul(dyg, vg, false, true);
    const ds = tf.mul(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dp, p), -1, true))), D ** -0.5) as tf.Tensor3D;
    return {
      q: ungroupHeads(tf.matMul(ds, kg), q.shape),
      k: ungroupHeads(tf.matMul(ds, qg, true, false), k.shape),
      v: ungroupHeads(tf.matMul(p, dyg, true, false), v.shape),
    };
  },
});

/**
 * Causal scaled dot-product attention; query head h reads key/value head ⌊h K / H⌋:
 *
 *   y = softmax(q kᵀ / √D + mask) v
 *   dv = pᵀ dy,   dp = dy vᵀ,   ds = p (dp - Σ dp p),   dq = ds k / √D,   dk = dsᵀ q / √D
 *
 * The T queries are the last T of the S positions: query t attends to keys `padding[b]` <= s <= S - T + t.
 *
 * - `q`: `[B, T, H, D]`; `k`, `v`: `[B, S, K, D]`, H a multiple of K, S >= T; returns `[B, T, H, D]`
 *
 * The score matrix is not kept for the backward pass, but computed again.
 *
 * @throws RangeError when the shapes do not fit.
 * References: Vaswani et al. 2017, arXiv:1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv:2305.13245.
 * @example attention(q, k, v); // [B, T, H, D]
 */
export function attention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  { padding }: AttentionOptions = {},
): tf.Tensor4D {
  const [B, T, H, D] = q.shape;
  const [Bk, S, K, Dk] = k.shape;
  if (B !== Bk || D !== Dk || !tf.util.arraysEqual(k.shape, v.shape)) {
    throw new RangeError(
      `attention: expected q [B, T, H, D] with k and v [B, S, K, D], got [${q.shape}], [${k.shape}], [${v.shape}]`,
    );
  }
  if (H % K !== 0) {
    throw new RangeError(`attention: expected query heads H divisible by key/value heads K, got H=${H}, K=${K}`);
  }
  if (S < T) throw new RangeError(`attention: expected at least as many keys as queries, got S=${S}, T=${T}`);
  if (padding && padding.length !== B) {
    throw new RangeError(`attention: expected one padding length a row, got ${padding.length} for B=${B}`);
  }
  return op({ q, k, v }, {}, { padding }) as tf.Tensor4D;
}
