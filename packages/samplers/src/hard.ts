import * as tf from '@tensorflow/tfjs-core';
import type { Sampler } from './contract.js';

export interface HardOptions {
  /** τ >= 0. At 0 the most likely token is taken, and there is no log-probability to train on. */
  temperature: number;
}

/** The ids drawn, `[B]` int32; recorded as `[B, T]`. */
export type HardAction = { ids: tf.Tensor };

/**
 * Ordinary tokens, drawn from the model's distribution:
 *
 *   x ~ softmax(z / τ),   input = e_x,   log π(x) = log softmax(z / τ)[x]
 *
 * A draw inverts the cumulative distribution at one uniform number a row.
 *
 * @throws RangeError for a negative temperature; from `logProb` at temperature 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 3 and 4.
 * @example const sampler = hard({ temperature: 1 });
 */
export function hard({ temperature }: HardOptions): Sampler<HardAction> {
  if (!(temperature >= 0)) throw new RangeError(`hard: expected a temperature >= 0, got ${temperature}`);
  return {
    name: 'hard',
    distribution: { kind: 'tokens' },
    step(hidden, model, noise) {
      const logits = model.head.logits(hidden) as tf.Tensor2D;
      const ids = temperature === 0 ? tf.argMax(logits, -1) : categorical(logits, temperature, noise.uniform(1));
      const drawn = tf.cast(ids, 'int32');
      return { input: model.embed(drawn) as tf.Tensor2D, action: { ids: drawn }, shadow: drawn.dataSync<'int32'>() };
    },
    inputs: ({ ids }, model) => model.embed(ids) as tf.Tensor3D,
    logProb(hidden, model, { ids }) {
      if (temperature === 0) {
        throw new RangeError(
          'hard: expected a temperature > 0 to score, got 0; a greedy choice has no log-probability',
        );
      }
      return model.head.logProb(hidden, ids, temperature) as tf.Tensor2D;
    },
  };
}

/** The first id whose cumulative probability exceeds u: `logits` `[B, V]`, `u` `[B, 1]` in [0, 1) -> `[B]`. */
function categorical(logits: tf.Tensor2D, temperature: number, u: tf.Tensor2D): tf.Tensor {
  const cumulative = tf.cumsum(tf.softmax(tf.div(logits, temperature)), 1); // not -1, which tfjs's wasm kernel misreads
  const total = tf.slice(cumulative, [0, logits.shape[1] - 1], [-1, 1]); // 1 but for rounding
  const below = tf.lessEqual(cumulative, tf.mul(u, total));
  return tf.minimum(tf.sum(tf.cast(below, 'int32'), -1), logits.shape[1] - 1);
}
