// The keys and values of the positions read so far. Shapes: B batch, S positions, K key/value heads, D head dim.
import type { KeyValueCache } from '@soft-tokens/samplers';
import { embedding } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

type KeysAndValues = { keys: tf.Tensor4D; values: tf.Tensor4D };

/**
 * A cache that grows by concatenation, `[B, S, K, D]` a layer, so that it is differentiable like any other tensor.
 *
 * It keeps what it holds (`tf.keep`): the tensors outlive `tf.tidy` and are freed when the cache grows or is disposed.
 * Both are safe while gradients are recorded: whatever the backward pass needs, the operations have saved themselves.
 */
export class DecoderCache implements KeyValueCache {
  /** Left-padding positions of each row, which no later position attends to. */
  readonly padding: Int32Array;
  #length = 0;
  #disposed = false;
  readonly #layers: (KeysAndValues | undefined)[];

  constructor(numLayers: number, padding: Int32Array) {
    const wrong = padding.findIndex((count) => count < 0);
    if (wrong >= 0) {
      throw new RangeError(`createCache: padding[${wrong}]: expected a count of positions, got ${padding[wrong]}`);
    }
    this.padding = padding.slice();
    this.#layers = new Array(numLayers).fill(undefined);
  }

  get length(): number {
    return this.#length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Appends a layer's new keys and values `[B, T, K, D]`; returns all of that layer's, `[B, S + T, K, D]`. */
  append(layer: number, keys: tf.Tensor4D, values: tf.Tensor4D): KeysAndValues {
    const old = this.#layers[layer];
    const all = {
      keys: tf.keep(old ? tf.concat([old.keys, keys], 1) : tf.clone(keys)),
      values: tf.keep(old ? tf.concat([old.values, values], 1) : tf.clone(values)),
    };
    if (old) tf.dispose([old.keys, old.values]);
    this.#layers[layer] = all;
    return all;
  }

  /** Counts T new positions, once every layer has appended them. */
  advance(T: number): void {
    this.#length += T;
  }

  select(rows: Int32Array): DecoderCache {
    this.requireUsable('select');
    const B = this.padding.length;
    const wrong = rows.findIndex((row) => !(row >= 0 && row < B));
    if (wrong >= 0) throw new RangeError(`select: rows[${wrong}]: expected a row in 0..${B - 1}, got ${rows[wrong]}`);

    const selected = new DecoderCache(
      this.#layers.length,
      rows.map((row) => this.padding[row]!),
    );
    selected.#length = this.#length;
    tf.tidy(() => {
      const indices = tf.tensor1d(rows, 'int32');
      // The rows of `[B, S K D]`; `embedding` has a gradient on every engine, where `gather` has not.
      const take = (x: tf.Tensor4D): tf.Tensor4D => {
        const [, S, K, D] = x.shape;
        return tf.keep(tf.reshape(embedding(tf.reshape(x, [B, S * K * D]), indices), [rows.length, S, K, D]));
      };
      this.#layers.forEach((held, layer) => {
        if (held) selected.#layers[layer] = { keys: take(held.keys), values: take(held.values) };
      });
    });
    return selected;
  }

  dispose(): void {
    for (const held of this.#layers) if (held) tf.dispose([held.keys, held.values]);
    this.#layers.fill(undefined);
    this.#disposed = true;
  }

  /** Throws for a disposed cache: its positions are gone, and continuing would quietly start anew. */
  requireUsable(where: string): void {
    if (this.#disposed) throw new Error(`${where}: expected a live cache, got a disposed one; create a new one`);
  }
}
