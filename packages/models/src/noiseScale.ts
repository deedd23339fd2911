import type { Tensor2D } from '@tensorflow/tfjs-core';

/** Over what the root mean square is taken: every entry of E, or the norms of its rows. */
export type RmsKind = 'entry' | 'row';

/**
 * The root mean square of an embedding matrix E, in float64:
 *
 *   entry: sqrt(Σ_vj E_vj² / (V d))      row: sqrt(Σ_v |e_v|² / V) = entry · sqrt(d)
 *
 * - `embedding`: `[V, d]`
 *
 * @throws RangeError for an embedding that is all zeros, empty or not finite.
 * @example embeddingRms(model.inputEmbedding);
 */
export function embeddingRms(embedding: Tensor2D, kind: RmsKind = 'entry'): number {
  const values = embedding.dataSync();
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  const rms = Math.sqrt(sum / (kind === 'row' ? embedding.shape[0] : values.length));
  if (!(rms > 0 && rms < Number.POSITIVE_INFINITY)) {
    throw new RangeError(
      `embeddingRms: expected an embedding with a finite size > 0, got rms ${rms}; check the weights`,
    );
  }
  return rms;
}

/**
 * The standard deviation σ of the noise added to each entry of a soft token:
 *
 *   σ = factor · rms(E)
 *
 * The paper speaks of the "root-mean-square norm of the token embeddings" without a formula. `entry` makes the noise
 * vector `factor` times as long as a typical embedding, which is what the paper argues for; `row` makes it sqrt(d) times
 * longer. Compute it once, from the model that training starts from, and keep it: E changes, σ should not.
 *
 * - `embedding`: `[V, d]`
 *
 * @throws RangeError for a factor below 0 and for an embedding without a size.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4 and app. F.1.
 * @example noiseScale(tf.tensor2d([[1, 0], [0, 1], [-1, -1]])); // 0.33 sqrt(4 / 6) = 0.26944
 */
export function noiseScale(embedding: Tensor2D, factor = 0.33, kind: RmsKind = 'entry'): number {
  return noiseScaleOf({ embeddingRms: embeddingRms(embedding), hiddenSize: embedding.shape[1] }, factor, kind);
}

/**
 * The same from the root mean square of E's entries, as `soft_tokens.json` keeps it for a trained model:
 *
 *   entry: σ = factor · rms      row: σ = factor · rms · sqrt(d)
 *
 * @throws RangeError for a factor below 0.
 * @example noiseScaleOf({ embeddingRms: 0.24, hiddenSize: 64 }, 0.33); // 0.0792
 */
export function noiseScaleOf(
  { embeddingRms, hiddenSize }: { embeddingRms: number; hiddenSize: number },
  factor = 0.33,
  kind: RmsKind = 'entry',
): number {
  if (!(factor >= 0)) throw new RangeError(`noiseScaleOf: expected a factor >= 0, got ${factor}`);
  return factor * embeddingRms * (kind === 'row' ? Math.sqrt(hiddenSize) : 1);
}
