import { embedding } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { LanguageModel } from './contract.js';
import { gaussianLogProb, type Placement, perturbed, requireMixture, weightsAt } from './gaussian.js';

/** The ids of the k largest logits, `[B, k]` int32, and their noisy logits z̃, `[B, k]`; recorded as `[B, T, k]`. */
export type TopKAction = { ids: tf.Tensor; logits: tf.Tensor };

/**
 * Noise on the k largest logits; the other tokens are left out of the mixture. Makes a `Placement`:
 *
 *   i_1 .. i_k = the ids of the k largest z,   z̃_j = z_{i_j} + σ ε_j,   input = Σ_j softmax(z̃ / τ)_j e_{i_j}
 *   log π(z̃) = -Σ_j (z̃_j - z_{i_j})² / (2σ²)
 *
 * z̃ is a constant when scored; E gets its gradient where the input is computed from it. The shadow is the id of the
 * largest z̃. Which k ids are taken is a step function of the parameters, and the score knows nothing of that: it is
 * exact for the first thought step, and where the set does not change. Scoring holds V logits a position.
 *
 * The paper: k = 5 and 50 at τ = 1. σ is as in `logitNoise`.
 *
 * @throws RangeError for a k that is no integer >= 1, or is above V; for τ <= 0 or σ < 0; from `logProb` when σ = 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, app. F.2.
 * @example soft({ temperature: 1, noiseScale: 0.33 * stateRms(model, prompts).logits, placement: topKNoise(5) });
 */
export function topKNoise(k: number): Placement<TopKAction> {
  if (!(Number.isInteger(k) && k >= 1)) throw new RangeError(`topKNoise: expected k to be an integer >= 1, got ${k}`);
  return (name, options) => {
    requireMixture(name, options);
    const { temperature, noiseScale } = options;
    return {
      name,
      step(hidden, model, noise) {
        if (k > model.vocabSize) {
          throw new RangeError(`${name}: expected k <= the ${model.vocabSize} tokens there are, got ${k}; lower k`);
        }
        const { values, indices: ids } = tf.topk(model.head.logits(hidden) as tf.Tensor2D, k);
        const logits = perturbed(values, noiseScale, noise);
        const best = tf.argMax(logits, -1).dataSync<'int32'>();
        const all = ids.dataSync<'int32'>();
        return {
          input: mixtureOf(model, ids, weightsAt(logits, temperature)) as tf.Tensor2D,
          action: { ids, logits },
          shadow: best.map((j, b) => all[b * k + j]!),
        };
      },
      inputs: ({ ids, logits }, model) => mixtureOf(model, ids, weightsAt(logits, temperature)) as tf.Tensor3D,
      logProb: (hidden, model, { ids, logits }) =>
        gaussianLogProb(name, logits, () => pick(model.head.logits(hidden), ids), noiseScale),
    };
  };
}

/** Σ_j w_j e_{i_j}: `[..., k]`, `[..., k]` -> `[..., d]`. */
const mixtureOf = (model: LanguageModel, ids: tf.Tensor, weights: tf.Tensor) =>
  tf.sum(tf.mul(model.embed(ids), tf.expandDims(weights, -1)), -2);

/** The entries of `x` `[..., V]` at `ids` `[..., k]`: `[..., k]`. A lookup in one column, whose gradient every engine has. */
function pick(x: tf.Tensor, ids: tf.Tensor): tf.Tensor {
  const V = x.shape.at(-1)!;
  const rows = x.size / V;
  const starts = tf.range(0, rows * V, V, 'int32');
  const places = tf.add(tf.reshape(ids, [rows, -1]), tf.expandDims(starts, -1));
  return tf.reshape(embedding(tf.reshape(x, [-1, 1]) as tf.Tensor2D, tf.cast(places, 'int32')), ids.shape);
}
