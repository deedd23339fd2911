// Causal attention with grouped heads, a cache, a shared prefix, left padding and a sliding window.
// Letters: B batch, T query positions, S key positions, H query heads, K key/value heads, D head dimension;
// R prefix rows, P prefix positions.
import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';

/** Keys and values that stand before the rows' own: a prompt, held once for all its samples. */
export interface AttentionPrefix {
  /** `[R, P, K, D]`, P > 0. */
  keys: tf.Tensor4D;
  values: tf.Tensor4D;
  /** The prefix row of each row b, B of them. */
  rows: Int32Array;
}

export interface AttentionOptions {
  /** Keys before `padding[b]`, the prefix's first, are left padding, which no query of row b attends to. */
  padding?: Int32Array | undefined;
  prefix?: AttentionPrefix | undefined;
  /** Only the first `length` positions of `k` and `v` are there; the rest may hold anything. Default: all. */
  length?: number | undefined;
  /** A query attends to its own position and the `window - 1` before it, the prefix's among them. Default: all. */
  window?: number | undefined;
  /** What q·k is multiplied by. Default: 1 / √D. */
  scale?: number | undefined;
}

type Inputs = { q: tf.Tensor4D; k: tf.Tensor4D; v: tf.Tensor4D };
type PrefixInputs = Inputs & { prefixKeys: tf.Tensor4D; prefixValues: tf.Tensor4D };
/** `length` is the positions of `k` but on engines that grow in place; `window` is at most all positions. */
type Attributes = { padding: Int32Array | undefined; length: number; window: number; scale: number };
type PrefixAttributes = Attributes & { rows: Int32Array };

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

/** 0 where query t may attend to key s, MASKED elsewhere: S - T + t - window < s <= S - T + t; shape `[1, 1, T, S]`. */
function causalMask(T: number, S: number, window: number): tf.Tensor4D {
  const mask = new Float32Array(T * S);
  for (let t = 0; t < T; t++) {
    const seen = S - T + t + 1;
    mask.fill(MASKED, t * S, t * S + Math.max(0, seen - window));
    mask.fill(MASKED, t * S + seen, (t + 1) * S);
  }
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

/** softmax(scale q kᵀ + mask) with q, k grouped: `[B K, (H/K) T, S]`. */
function attentionWeights(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  [B, T, H]: tf.Tensor4D['shape'],
  { padding, window, scale }: Attributes,
): tf.Tensor3D {
  const S = k.shape[1];
  let scores = tf.reshape(tf.matMul(tf.mul(q, scale), k, false, true), [B, H, T, S]);
  if (T > 1 || window < S) scores = tf.add(scores, causalMask(T, S, window));
  if (padding?.some((n) => n > 0)) scores = tf.add(scores, paddingMask(padding, S));
  return tf.reshape(tf.softmax(scores), [q.shape[0], q.shape[1], S]);
}

/** The prefix rows of each row in front of its own keys, or values: `[B, P + S, K, D]`. */
function joined(prefix: tf.Tensor4D, own: tf.Tensor4D, rows: Int32Array): tf.Tensor4D {
  return tf.concat([tf.gather(prefix, tf.tensor1d(rows, 'int32')), own], 1);
}

/** What went to the prefix and to the own part, taken apart again; each prefix row's is summed over the rows b. */
function separated(d: tf.Tensor4D, prefix: tf.Tensor4D, rows: Int32Array): { prefix: tf.Tensor4D; own: tf.Tensor4D } {
  const P = prefix.shape[1];
  const indices = tf.expandDims(tf.tensor1d(rows, 'int32'), 1) as tf.Tensor2D;
  return {
    prefix: tf.scatterND(indices, tf.slice(d, [0, 0], [-1, P]), prefix.shape),
    own: tf.slice(d, [0, P], [-1, -1]),
  };
}

function definition({ q, k, v }: Inputs, attributes: Attributes): tf.Tensor4D {
  const K = k.shape[2];
  const weights = attentionWeights(groupHeads(q, K), groupHeads(k, K), q.shape, attributes);
  return ungroupHeads(tf.matMul(weights, groupHeads(v, K)), q.shape);
}

function gradient(dy: tf.Tensor4D, { q, k, v }: Inputs, attributes: Attributes): Inputs {
  const K = k.shape[2];
  const [qg, kg, vg, dyg] = [q, k, v, dy].map((x) => groupHeads(x, K)) as [
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor3D,
  ];
  const p = attentionWeights(qg, kg, q.shape, attributes);
  const dp = tf.matMul(dyg, vg, false, true);
  const ds = tf.mul(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dp, p), -1, true))), attributes.scale) as tf.Tensor3D;
  return {
    q: ungroupHeads(tf.matMul(ds, kg), q.shape),
    k: ungroupHeads(tf.matMul(ds, qg, true, false), k.shape),
    v: ungroupHeads(tf.matMul(p, dyg, true, false), v.shape),
  };
}

const op = fusedOp<Inputs, Record<string, never>, Attributes>({
  name: 'Attention',
  definition: (inputs, _, attributes) => definition(inputs, attributes),
  gradient: (dy, inputs, _, attributes) => gradient(dy as tf.Tensor4D, inputs, attributes),
});

const prefixOp = fusedOp<PrefixInputs, Record<string, never>, PrefixAttributes>({
  name: 'PrefixAttention',
  definition: ({ q, k, v, prefixKeys, prefixValues }, _, { rows, ...attributes }) =>
    definition({ q, k: joined(prefixKeys, k, rows), v: joined(prefixValues, v, rows) }, attributes),
  gradient: (dy, { q, k, v, prefixKeys, prefixValues }, _, { rows, ...attributes }) => {
    const whole = { q, k: joined(prefixKeys, k, rows), v: joined(prefixValues, v, rows) };
    const d = gradient(dy as tf.Tensor4D, whole, attributes);
    const [keys, values] = [separated(d.k, prefixKeys, rows), separated(d.v, prefixValues, rows)];
    return { q: d.q, k: keys.own, v: values.own, prefixKeys: keys.prefix, prefixValues: values.prefix };
  },
});

/**
 * Causal scaled dot-product attention; query head h reads key/value head ⌊h K / H⌋:
 *
 *   y = softmax(scale q kᵀ + mask) v
 *   dv = pᵀ dy,   dp = dy vᵀ,   ds = p (dp - Σ dp p),   dq = scale ds k,   dk = scale dsᵀ q
 *
 * The T queries are the last T of the S positions, the prefix's counted: query t stands at S - T + t and attends to keys
 * max(`padding[b]`, S - T + t - `window` + 1) <= s <= S - T + t.
 *
 * - `q`: `[B, T, H, D]`; `k`, `v`: `[B, S, K, D]`, H a multiple of K, S >= T; returns `[B, T, H, D]`
 * - `prefix`: keys and values that come before `k` and `v`, shared by the rows of a group; its gradient is the sum over
 *   the rows that read it: d prefix[r] = Σ over {rows[b] = r} of what row b gives
 * - `length`: how many positions of `k` and `v` are there
 * - `window`: the most positions that a query attends to, its own among them; native and wasm leave the others out, so
 *   T queries cost O(T window)
 * - `scale`: 1 / √D where it is not given
 *
 * The score matrix is not kept for the backward pass, but computed again.
 *
 * @throws RangeError when the shapes do not fit, or `window` is no positive whole number, or `scale` no positive number.
 * References: Vaswani et al. 2017, arXiv:1706.03762, eq. 1; grouped heads: Ainslie et al. 2023, arXiv:2305.13245;
 * windows: Beltagy et al. 2020, arXiv:2004.05150, section 3.1, here to one side as in Jiang et al. 2023, arXiv:2310.06825.
 * @example
 * attention(q, k, v); // [B, T, H, D]
 * attention(q, k, v, { prefix: { keys, values, rows: Int32Array.of(0, 0, 0) } }); // three rows after one prompt
 * attention(q, k, v, { window: 4096 }); // Mistral
 */
export function attention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  { padding, prefix, length = k.shape[1], window, scale = q.shape[3] ** -0.5 }: AttentionOptions = {},
): tf.Tensor4D {
  const [B, T, H, D] = q.shape;
  const [Bk, capacity, K, Dk] = k.shape;
  if (B !== Bk || D !== Dk || !tf.util.arraysEqual(k.shape, v.shape)) {
    throw new RangeError(
      `attention: expected q [B, T, H, D] with k and v [B, S, K, D], got [${q.shape}], [${k.shape}], [${v.shape}]; ` +
        'give them one B and one D',
    );
  }
  if (H % K !== 0) {
    throw new RangeError(
      `attention: expected query heads H divisible by key/value heads K, got H=${H}, K=${K}; ` +
        'repeat the query heads, or merge key heads',
    );
  }
  if (!(length >= 0 && length <= capacity)) {
    throw new RangeError(
      `attention: expected a length in 0..${capacity}, the positions of k, got ${length}; leave it out for all`,
    );
  }
  if (length < T) {
    throw new RangeError(
      `attention: expected at least as many keys as queries, got S=${length}, T=${T}; ` +
        "append the queries' own keys first",
    );
  }
  if (padding && padding.length !== B) {
    throw new RangeError(
      `attention: expected one padding length a row, got ${padding.length} for B=${B}; ` +
        'give 0 for a row without padding',
    );
  }
  const wrong = padding?.findIndex((count) => count < 0) ?? -1;
  if (wrong >= 0) {
    throw new RangeError(
      `attention: padding[${wrong}]: expected a count of positions, got ${padding![wrong]}; ` +
        'give 0 for a row without padding',
    );
  }
  if (window !== undefined && !(Number.isInteger(window) && window >= 1)) {
    throw new RangeError(
      `attention: expected a window of 1 position or more, a whole number, got ${window}; leave it out for all`,
    );
  }
  if (!(scale > 0 && scale < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`attention: expected a finite scale > 0, got ${scale}; leave it out for 1 / √D`);
  }
  if (prefix) checkPrefix(prefix, [B, K, D]);
  if (length < capacity && (tf.engine().isTapeOn() || !growsInPlace())) {
    return tf.tidy(() => {
      const [keys, values] = [k, v].map((x) => tf.slice(x, [0, 0], [-1, length])) as [tf.Tensor4D, tf.Tensor4D];
      return attention(q, keys, values, { padding, prefix, window, scale });
    });
  }
  const S = (prefix?.keys.shape[1] ?? 0) + length;
  const attributes = { padding, length, window: Math.min(window ?? S, S), scale };
  if (!prefix) return op({ q, k, v }, {}, attributes) as tf.Tensor4D;
  const { keys: prefixKeys, values: prefixValues, rows } = prefix;
  return prefixOp({ q, k, v, prefixKeys, prefixValues }, {}, { ...attributes, rows }) as tf.Tensor4D;
}

/** Engines that write into the buffers of a cache (kernel CacheWrite) read `length` of their positions. */
const growsInPlace = () => tf.getKernel('CacheWrite', tf.getBackend()) !== undefined;

function checkPrefix({ keys, values, rows }: AttentionPrefix, [B, K, D]: [B: number, K: number, D: number]): void {
  const [R, P, Kp, Dp] = keys.shape;
  if (P === 0 || Kp !== K || Dp !== D || !tf.util.arraysEqual(keys.shape, values.shape)) {
    throw new RangeError(
      `attention: expected prefix keys and values [R, P, ${K}, ${D}] with P > 0, got [${keys.shape}], [${values.shape}]; ` +
        'give them the heads of k, or leave the prefix out',
    );
  }
  if (rows.length !== B) {
    throw new RangeError(
      `attention: expected one prefix row a row, got ${rows.length} for B=${B}; name one for each row of q`,
    );
  }
  const wrong = rows.findIndex((row) => !(row >= 0 && row < R));
  if (wrong >= 0) {
    throw new RangeError(
      `attention: prefix: rows[${wrong}]: expected a row in 0..${R - 1}, got ${rows[wrong]}; ` +
        "name a row of the prefix's keys",
    );
  }
}
