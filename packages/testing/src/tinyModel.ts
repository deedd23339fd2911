// A language model and a tokenizer small enough to read at a glance, for the tests of samplers, decoding and training.
// They satisfy `LanguageModel` and `TextCodec` of @soft-tokens/samplers by structure: importing those would be a cycle.
// Letters: B batch, T time, d hiddenSize, V vocabSize.
import * as tf from '@tensorflow/tfjs-core';
import { uniforms } from './random.js';

/** What the tiny model keeps of the positions it has read: their number and the sum of their inputs. */
export interface TinyCache {
  readonly length: number;
  select(rows: Int32Array): TinyCache;
  dispose(): void;
}

/** A `LanguageModel` with its parameters in the open. */
export interface TinyModel {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** [E, Wx, Ws, b, U] of `tinyModel`. */
  readonly variables: tf.Variable[];
  embed(ids: tf.Tensor): tf.Tensor;
  mix(weights: tf.Tensor): tf.Tensor;
  createCache(padding: Int32Array): TinyCache;
  forward(inputs: tf.Tensor3D, cache?: TinyCache): tf.Tensor3D;
  readonly head: {
    logits(hidden: tf.Tensor): tf.Tensor;
    logProb(hidden: tf.Tensor, ids: tf.Tensor, temperature: number): tf.Tensor;
    mixture(hidden: tf.Tensor, temperature: number): tf.Tensor;
  };
  dispose(): void;
}

class Cache implements TinyCache {
  readonly padding: Int32Array;
  length: number;
  sum: tf.Tensor2D;

  constructor(padding: Int32Array, length: number, sum: tf.Tensor2D) {
    this.padding = padding;
    this.length = length;
    this.sum = tf.keep(sum);
  }

  select(rows: Int32Array): Cache {
    // A product with one-hot rows: the gradient of `gather` lacks a kernel on some engines.
    const sum = tf.tidy(() => tf.matMul(oneHot(tf.tensor1d(rows, 'int32'), this.sum.shape[0]), this.sum));
    const padding = Int32Array.from(rows, (row) => this.padding[row]!);
    return new Cache(padding, this.length, sum as tf.Tensor2D);
  }

  dispose(): void {
    this.sum.dispose();
  }
}

/**
 * A causal language model in one line, with random parameters from `seed`:
 *
 *   h_t = tanh(x_t Wx + mean(x_p .. x_t) Ws + b),  p the left padding;   logits = h Uᵀ;   x = rows of E
 *
 * E, U: `[V, d]`; Wx, Ws: `[d, d]`; b: `[d]`. Differentiable in all of them with operations that every engine has.
 *
 * ```ts
 * const model = tinyModel({ vocabSize: 11, hiddenSize: 8, seed: 1 });
 * const hidden = model.forward(model.embed(tf.tensor2d([[1, 2, 3]], [1, 3], 'int32')) as tf.Tensor3D); // [1, 3, 8]
 * ```
 */
export function tinyModel(options: {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly seed: number;
}): TinyModel {
  const { vocabSize: V, hiddenSize: d, seed } = options;
  const random = uniforms(seed);
  const parameter = (shape: number[], scale: number) =>
    tf.tidy(() => {
      const size = shape.reduce((a, b) => a * b);
      return tf.variable(
        tf.tensor(
          Float32Array.from({ length: size }, () => scale * (2 * random() - 1)),
          shape,
        ),
      );
    });
  const E = parameter([V, d], 1);
  const Wx = parameter([d, d], 1.5 / Math.sqrt(d));
  const Ws = parameter([d, d], 1.5 / Math.sqrt(d));
  const b = parameter([d], 0.1);
  const U = parameter([V, d], 3 / Math.sqrt(d));

  /** The product over the last axis: `[..., n]` and `[n, m]` -> `[..., m]`. */
  const times = (x: tf.Tensor, weight: tf.Tensor, transposed = false) => {
    const [rows, columns] = weight.shape as [number, number];
    const [inner, outer] = transposed ? [columns, rows] : [rows, columns];
    const flat = tf.matMul(tf.reshape(x, [-1, inner]) as tf.Tensor2D, weight as tf.Tensor2D, false, transposed);
    return tf.reshape(flat, [...x.shape.slice(0, -1), outer]);
  };
  const logits = (hidden: tf.Tensor) => tf.tidy(() => times(hidden, U, true));
  const embed = (ids: tf.Tensor) => tf.tidy(() => times(oneHot(ids, V), E));

  return {
    vocabSize: V,
    hiddenSize: d,
    variables: [E, Wx, Ws, b, U],
    embed,
    mix: (weights) => tf.tidy(() => times(weights, E)),
    createCache: (padding) => new Cache(padding.slice(), 0, tf.zeros([padding.length, d])),
    forward(inputs, cache) {
      const [B, T] = inputs.shape;
      const state = cache as Cache | undefined;
      const start = state?.length ?? 0;
      const padding = state?.padding ?? new Int32Array(B);
      if (padding.length !== B) throw new RangeError(`forward: expected ${padding.length} rows, got ${B}`);
      const [hidden, sum] = tf.tidy(() => {
        // Sums as a product with a triangle: tfjs's gradient of cumsum fails on every axis but the last.
        const reads = Float32Array.from({ length: B * T * T }, (_, i) => {
          const [row, to, from] = [Math.floor(i / (T * T)), Math.floor(i / T) % T, i % T];
          return from <= to && start + from >= padding[row]! ? 1 : 0;
        });
        const counts = Float32Array.from({ length: B * T }, (_, i) =>
          Math.max(1, start + (i % T) + 1 - padding[Math.floor(i / T)]!),
        );
        let sums = tf.matMul(tf.tensor3d(reads, [B, T, T]), inputs);
        if (state) sums = tf.add(sums, tf.expandDims(state.sum, 1));
        const own = times(inputs, Wx);
        const context = times(tf.div(sums, tf.tensor3d(counts, [B, T, 1])), Ws);
        const last = tf.reshape(tf.slice(sums, [0, T - 1, 0], [B, 1, d]), [B, d]) as tf.Tensor2D;
        return [tf.tanh(tf.addN([own, context, tf.broadcastTo(b, [B, T, d])])) as tf.Tensor3D, last];
      });
      if (state) {
        state.sum.dispose();
        state.sum = tf.keep(sum);
        state.length += T;
      } else {
        sum.dispose();
      }
      return hidden;
    },
    head: {
      logits,
      logProb: (hidden, ids, temperature) =>
        tf.tidy(() => {
          const logProbs = tf.logSoftmax(tf.div(logits(hidden), temperature));
          return tf.sum(tf.mul(logProbs, oneHot(ids, V)), -1);
        }),
      mixture: (hidden, temperature) => tf.tidy(() => times(tf.softmax(tf.div(logits(hidden), temperature)), E)),
    },
    dispose() {
      tf.dispose([E, Wx, Ws, b, U]);
    },
  };
}

/** `[...]` int32 ids -> `[..., depth]` float32. */
const oneHot = (ids: tf.Tensor, depth: number): tf.Tensor =>
  tf.cast(tf.oneHot(tf.cast(ids, 'int32'), depth), 'float32');

/** A `TextCodec`, with the number of its ids. */
export interface TinyCodec {
  readonly vocabSize: number;
  readonly endIds: readonly number[];
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
}

const printable = `\n${Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('')}`;

/**
 * One id for each character of `alphabet` (default: newline and the printable ASCII characters), from 1 on in its order.
 * Id 0 ends an answer and decodes to nothing.
 *
 * @throws RangeError for a character or an id that it does not know.
 *
 * ```ts
 * tinyCodec('abc').encode('cab'); // [3, 1, 2]
 * ```
 */
export function tinyCodec(alphabet = printable): TinyCodec {
  const characters = ['', ...alphabet];
  const idOf = new Map(characters.map((character, id) => [character, id]));
  return {
    vocabSize: characters.length,
    endIds: [0],
    encode: (text) =>
      Array.from(text, (character) => {
        const id = idOf.get(character);
        if (id !== undefined) return id;
        throw new RangeError(`encode: expected characters of the alphabet, got ${JSON.stringify(character)}`);
      }),
    decode: (ids) =>
      ids
        .map((id) => {
          const character = characters[id];
          if (character !== undefined) return character;
          throw new RangeError(`decode: expected ids below ${characters.length}, got ${id}`);
        })
        .join(''),
  };
}
