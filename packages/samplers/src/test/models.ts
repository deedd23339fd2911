// Language models and noise for the tests, small enough to know what comes out.
import { embedding, headLogProb, headMixture, type Noise } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { KeyValueCache, LanguageModel } from '../contract.js';

/** METHOD E4's three tokens in two dimensions. */
export const threeTokens = [
  [1, 0],
  [0, 1],
  [-1, -1],
];

/** A head alone: hidden states are the logits, embeddings the given rows. Differentiable in both. */
export function headModel(E: tf.Tensor2D): LanguageModel {
  const [V, d] = E.shape;
  const identity = tf.eye(V) as tf.Tensor2D;
  const mix = (weights: tf.Tensor) =>
    tf.reshape(tf.matMul(tf.reshape(weights, [-1, V]), E), [...weights.shape.slice(0, -1), d]);
  const unused = (): never => {
    throw new Error('headModel has no stack');
  };
  return {
    vocabSize: V,
    hiddenSize: d,
    embed: (ids) => embedding(E, ids),
    mix,
    createCache: unused,
    forward: unused,
    head: {
      logits: (hidden) => hidden,
      logProb: (hidden, ids, temperature) => headLogProb(hidden, identity, ids, temperature),
      mixture: (hidden, temperature) => headMixture(hidden, identity, E, temperature),
    },
  };
}

/** Noise that is what one says it is, whatever the width. */
export const fixedNoise = ({
  normal = [[0]],
  uniform = [[0]],
}: {
  normal?: number[][];
  uniform?: number[][];
}): Noise => ({
  normal: () => tf.tensor2d(normal),
  uniform: () => tf.tensor2d(uniform),
});

class ScriptCache implements KeyValueCache {
  length = 0;
  padding: Int32Array;
  /** The script of each row, once its prompt is read. */
  scripts: number[] = [];
  promptLength = 0;

  constructor(padding: Int32Array) {
    this.padding = padding;
  }

  select(rows: Int32Array): ScriptCache {
    const selected = new ScriptCache(Int32Array.from(rows, (row) => this.padding[row]!));
    selected.length = this.length;
    selected.promptLength = this.promptLength;
    selected.scripts = Array.from(rows, (row) => this.scripts[row]!);
    return selected;
  }

  dispose(): void {}
}

/** What a scripted model was fed in one call: one number a position, `[B][T]`. */
export type Fed = number[][];

/**
 * A model that says what it is told: prompt `[k, ...]` continues with the ids of `scripts[k]`, one a position, whatever
 * is fed. An input is the id itself, `[id]`, so `fed` shows the ids read, one entry a call of `forward`.
 */
export function scriptedModel(
  vocabSize: number,
  scripts: readonly (readonly number[])[],
): LanguageModel & { fed: Fed[] } {
  const fed: Fed[] = [];
  const logits = (hidden: tf.Tensor) => tf.mul(tf.oneHot(tf.cast(tf.squeeze(hidden, [-1]), 'int32'), vocabSize), 20);
  const unused = (): never => {
    throw new Error('scriptedModel is not scored');
  };
  return {
    fed,
    vocabSize,
    hiddenSize: 1,
    embed: (wanted) => tf.expandDims(tf.cast(wanted, 'float32'), -1),
    mix: (weights) => tf.sum(tf.mul(weights, tf.range(0, vocabSize, 1, 'float32')), -1, true),
    createCache: (padding) => new ScriptCache(padding),
    forward(inputs, given) {
      const cache = given as ScriptCache;
      const [B, T] = inputs.shape;
      const read = tf.squeeze(inputs, [2]).arraySync() as number[][];
      fed.push(read);
      if (cache.length === 0) {
        cache.promptLength = T;
        cache.scripts = read.map((row, b) => row[cache.padding[b]!]!);
      }
      const next = Float32Array.from({ length: B * T }, (_, i) => {
        const script = scripts[cache.scripts[Math.floor(i / T)]!]!;
        return script[cache.length + (i % T) + 1 - cache.promptLength] ?? 0;
      });
      cache.length += T;
      return tf.tensor3d(next, [B, T, 1]);
    },
    head: { logits, logProb: unused, mixture: unused },
  };
}
