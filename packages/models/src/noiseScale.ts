import type { LanguageModel } from '@soft-tokens/samplers';
import * as tf from '@tensorflow/tfjs-core';

/** Over what the root mean square is taken: every entry of E, or the norms of its rows. */
export type RmsKind = 'entry' | 'row';

/** What a stack is fed, of a model: the rows of `inputEmbedding` E, `[V, d]`, times `embeddingScale` s. */
export interface ScaledEmbedding {
  readonly inputEmbedding: tf.Tensor2D;
  readonly embeddingScale: number;
}

/**
 * The root mean square of the embeddings that a model's stack is fed, s E, in float64:
 *
 *   entry: s sqrt(Σ_vj E_vj² / (V d))      row: s sqrt(Σ_v |e_v|² / V) = entry · sqrt(d)
 *
 * - `model`: a `CausalLM`, or the two of its fields that matter
 *
 * @throws RangeError for an embedding that is all zeros, empty or not finite.
 * @example embeddingRms(model);
 */
export function embeddingRms({ inputEmbedding, embeddingScale }: ScaledEmbedding, kind: RmsKind = 'entry'): number {
  const values = inputEmbedding.dataSync();
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  const rms = embeddingScale * Math.sqrt(sum / (kind === 'row' ? inputEmbedding.shape[0] : values.length));
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
 *   σ = factor · rms(s E)
 *
 * The paper speaks of the "root-mean-square norm of the token embeddings" without a formula. `entry` makes the noise
 * vector `factor` times as long as a typical embedding, which is what the paper argues for; `row` makes it sqrt(d) times
 * longer. Compute it once, from the model that training starts from, and keep it: E changes, σ should not.
 *
 * It follows what the stack is fed: where a model scales its embeddings, as Gemma does by s = √d, so is the noise.
 *
 * - `model`: a `CausalLM`, or the two of its fields that matter
 *
 * @throws RangeError for a factor below 0 and for an embedding without a size.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4 and app. F.1.
 * @example
 * const inputEmbedding = tf.tensor2d([[1, 0], [0, 1], [-1, -1]]);
 * noiseScale({ inputEmbedding, embeddingScale: 1 }); // 0.33 sqrt(4 / 6) = 0.26944
 */
export function noiseScale(model: ScaledEmbedding, factor = 0.33, kind: RmsKind = 'entry'): number {
  const hiddenSize = model.inputEmbedding.shape[1];
  return noiseScaleOf({ embeddingRms: embeddingRms(model), hiddenSize }, factor, kind);
}

/**
 * The same from the root mean square of the entries of s E, as `soft_tokens.json` keeps it for a trained model:
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

/**
 * The sizes of what else noise can be added to, over all positions of some prompts, in float64:
 *
 *   hidden: sqrt(mean of h_j²), of the final hidden states h
 *   logits: sqrt(mean of (z_v - mean z)²), z = W h: about their mean, for a softmax sees no more of them
 *
 * The paper does not say what the noise's scale is there; a factor of these sizes is the like of `noiseScale`. Compute
 * them once, from the model that training starts from, and keep them. The logits of one prompt are held whole.
 *
 * - `prompts`: ids of texts like those that thoughts will follow; each is read alone
 *
 * @throws RangeError without a position, or for sizes that are not finite and > 0.
 * @example soft({ temperature: 1, noiseScale: 0.33 * stateRms(model, prompts).logits, placement: topKNoise(5) });
 */
export function stateRms(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
): { hidden: number; logits: number } {
  const sums = { hidden: 0, logits: 0 };
  let positions = 0;
  for (const prompt of prompts.filter(({ length }) => length > 0)) {
    const squares = tf.tidy(() => {
      const inputs = model.embed(tf.tensor2d([[...prompt]], [1, prompt.length], 'int32')) as tf.Tensor3D;
      const hidden = model.forward(inputs);
      const { variance } = tf.moments(model.head.logits(hidden), -1);
      return { hidden: tf.mean(tf.square(hidden), -1).dataSync(), logits: variance.dataSync() };
    });
    for (const kind of ['hidden', 'logits'] as const) {
      for (const square of squares[kind]) sums[kind] += square;
    }
    positions += prompt.length;
  }
  const sizes = { hidden: Math.sqrt(sums.hidden / positions), logits: Math.sqrt(sums.logits / positions) };
  for (const [kind, rms] of Object.entries(sizes)) {
    if (rms > 0 && rms < Number.POSITIVE_INFINITY) continue;
    throw new RangeError(
      `stateRms: expected ${kind} with a finite size > 0 over ${positions} positions, got rms ${rms}; ` +
        'check the weights and the prompts',
    );
  }
  return sizes;
}
