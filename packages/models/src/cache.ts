// The keys and values of the positions read so far. Shapes: B batch, S positions, K key/value heads, D head dim; of a
// prefix R rows, P positions.
import type { KeyValueCache } from '@soft-tokens/samplers';
import { type AttentionPrefix, embedding, runKernel } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

type KeysAndValues = { keys: tf.Tensor4D; values: tf.Tensor4D };

/** What the queries of a layer see: the arguments of `attention`. */
export interface CachedKeys extends KeysAndValues {
  prefix: AttentionPrefix | undefined;
  /** The positions of `keys` and `values` that are there. */
  length: number;
}

/** A cache as a layer sees it. */
export interface LayerCache {
  /** Left-padding positions of each row, which no later position attends to. */
  readonly padding: Int32Array;
  /** Appends a layer's new keys and values `[B, T, K, D]`; returns all that the layer's queries see, for this call alone. */
  append(layer: number, keys: tf.Tensor4D, values: tf.Tensor4D): CachedKeys;
}

/** What a layer holds, by name: its own positions and those of the prefix, where there are any. */
type Held = { ownKeys?: tf.Tensor4D; ownValues?: tf.Tensor4D; prefixKeys?: tf.Tensor4D; prefixValues?: tf.Tensor4D };

/** A layer's part of a cache at one time, from which the layer can be computed when the cache has long changed. */
export interface CachePart {
  readonly held: Held;
  /** A cache that holds `held`, or copies of it, and nothing else; it frees nothing. */
  standIn(held: Held): PartialCache;
}

/** What stands in for a cache in one run of one layer. */
interface PartialCache extends LayerCache {
  /** The layer's own keys and values once it has appended. */
  own: KeysAndValues | undefined;
}

/** What a layer holds. */
interface Layer {
  /** Of rows that are shared: `[R, P, K, D]`. */
  prefix: KeysAndValues | undefined;
  /** Of each row, after the prefix: `[B, capacity, K, D]`; see `DecoderCache`. */
  own: KeysAndValues | undefined;
}

/** The least room of a buffer, in positions. */
const LEAST_CAPACITY = 16;

/**
 * The keys and values of every layer, and how they grow:
 *
 * - While gradients are recorded, and on engines without a kernel CacheWrite, by concatenation, so that they are
 *   differentiable like any other tensors.
 * - Else in buffers with room for half as much again, into which new positions are written. A tensor with room to spare
 *   is such a buffer: this cache's alone, seen by `attention` within the call and by nothing after it. One without may
 *   share its data with others and is never written into.
 *
 * Rows selected several times, as those of a prompt are, share what is held from then on: a prefix, which is never copied
 * again. Engines without a kernel PrefixAttention, where reading it would copy it, get copies at once.
 *
 * It keeps what it holds (`tf.keep`): the tensors outlive `tf.tidy` and are freed when the cache grows or is disposed.
 * Both are safe while gradients are recorded: whatever the backward pass needs, the operations have saved themselves.
 */
export class DecoderCache implements KeyValueCache, LayerCache {
  readonly padding: Int32Array;
  #length = 0;
  #disposed = false;
  readonly #layers: Layer[];
  /** P, and the prefix row of each row. */
  #prefixLength = 0;
  #prefixRows: Int32Array | undefined;

  constructor(numLayers: number, padding: Int32Array) {
    const wrong = padding.findIndex((count) => count < 0);
    if (wrong >= 0) {
      throw new RangeError(
        `createCache: padding[${wrong}]: expected a count of positions, got ${padding[wrong]}; ` +
          'give 0 for a row without padding',
      );
    }
    this.padding = padding.slice();
    this.#layers = Array.from({ length: numLayers }, () => ({ prefix: undefined, own: undefined }));
  }

  get length(): number {
    return this.#length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  append(layer: number, keys: tf.Tensor4D, values: tf.Tensor4D): CachedKeys {
    const held = this.#layers[layer]!;
    const count = this.#length - this.#prefixLength;
    const length = count + keys.shape[1];
    held.own = grown(held.own, count, { keys, values });
    const prefix = held.prefix && { ...held.prefix, rows: this.#prefixRows! };
    return { ...held.own, prefix, length };
  }

  /** A layer's part as it is now. While gradients are recorded. */
  part(layer: number): CachePart {
    const { prefix, own } = this.#layers[layer]!;
    const count = this.#length - this.#prefixLength;
    const { padding } = this;
    const rows = this.#prefixRows;
    const standIn = ({ ownKeys, ownValues, prefixKeys, prefixValues }: Held): PartialCache => ({
      padding,
      own: ownKeys && ownValues && { keys: ownKeys, values: ownValues },
      append(_, keys, values) {
        this.own = this.own ? joined(this.own, { keys, values }) : { keys, values };
        const prefix = prefixKeys && prefixValues && rows && { keys: prefixKeys, values: prefixValues, rows };
        return { ...this.own, prefix, length: this.own.keys.shape[1] };
      },
    });
    return {
      standIn,
      held: {
        ...(own && { ownKeys: firstPositions(own.keys, count), ownValues: firstPositions(own.values, count) }),
        ...(prefix && { prefixKeys: prefix.keys, prefixValues: prefix.values }),
      },
    };
  }

  /** Puts a layer's own keys and values, new ones included, in the place of the old, which are freed. */
  replace(layer: number, own: KeysAndValues): void {
    const held = this.#layers[layer]!;
    const old = held.own;
    held.own = kept(own, tf.clone);
    if (old) tf.dispose([old.keys, old.values]);
  }

  /** Counts T new positions, once every layer has appended them. */
  advance(T: number): void {
    this.#length += T;
  }

  select(rows: Int32Array): DecoderCache {
    this.requireUsable('select');
    const B = this.padding.length;
    const wrong = rows.findIndex((row) => !(row >= 0 && row < B));
    if (wrong >= 0) {
      throw new RangeError(
        `select: rows[${wrong}]: expected a row in 0..${B - 1}, got ${rows[wrong]}; name rows of this cache`,
      );
    }

    const selected = new DecoderCache(
      this.#layers.length,
      rows.map((row) => this.padding[row]!),
    );
    selected.#length = this.#length;
    const share = !this.#prefixRows && this.#length > 0 && repeats(rows) && hasKernel('PrefixAttention');
    selected.#prefixLength = share ? this.#length : this.#prefixLength;
    selected.#prefixRows = share ? rows.slice() : this.#prefixRows && rows.map((row) => this.#prefixRows![row]!);
    tf.tidy(() => {
      const indices = tf.tensor1d(rows, 'int32');
      this.#layers.forEach(({ prefix, own }, layer) => {
        selected.#layers[layer] = share
          ? { prefix: own && kept(own, (x) => tf.clone(firstPositions(x, this.#length))), own: undefined }
          : { prefix: prefix && kept(prefix, tf.clone), own: own && kept(own, (x) => takeRows(x, indices)) };
      });
    });
    return selected;
  }

  dispose(): void {
    for (const held of this.#layers) {
      for (const part of [held.prefix, held.own]) if (part) tf.dispose([part.keys, part.values]);
      Object.assign(held, { prefix: undefined, own: undefined });
    }
    this.#disposed = true;
  }

  /** Throws for a disposed cache: its positions are gone, and continuing would quietly start anew. */
  requireUsable(where: string): void {
    if (this.#disposed) throw new Error(`${where}: expected a live cache, got a disposed one; create a new one`);
  }
}

/** The old keys and values, of which `count` positions are there, with the new ones after them; the old are freed. */
function grown(old: KeysAndValues | undefined, count: number, added: KeysAndValues): KeysAndValues {
  if (!old) return kept(added, tf.clone);
  const [B, capacity, K, D] = old.keys.shape;
  const length = count + added.keys.shape[1];
  if (!hasKernel('CacheWrite') || tf.engine().isTapeOn()) {
    const all = tf.tidy(() => {
      const there = { keys: firstPositions(old.keys, count), values: firstPositions(old.values, count) };
      return kept(joined(there, added), (x) => x);
    });
    tf.dispose([old.keys, old.values]);
    return all;
  }
  if (capacity >= length) {
    write(old, added, count, length - count);
    return old;
  }
  const room = Math.max(LEAST_CAPACITY, Math.ceil(1.5 * length));
  const buffer = () => tf.keep(tf.fill([B, room, K, D], 0)) as tf.Tensor4D;
  const all = { keys: buffer(), values: buffer() };
  write(all, old, 0, count);
  write(all, added, count, length - count);
  tf.dispose([old.keys, old.values]);
  return all;
}

/** Writes the first `count` positions of `from` into the buffers, in place, at `position`. */
function write(buffers: KeysAndValues, from: KeysAndValues, position: number, count: number): void {
  runKernel('CacheWrite', { ...from, keyBuffer: buffers.keys, valueBuffer: buffers.values }, { position, count });
}

function kept({ keys, values }: KeysAndValues, f: (x: tf.Tensor4D) => tf.Tensor4D): KeysAndValues {
  return { keys: tf.keep(f(keys)), values: tf.keep(f(values)) };
}

/** The one's positions, then the other's. */
function joined(first: KeysAndValues, then: KeysAndValues): KeysAndValues {
  return {
    keys: tf.concat([first.keys, then.keys], 1),
    values: tf.concat([first.values, then.values], 1),
  };
}

/** The positions that are there, apart from a buffer: the tensor itself where there is no room after them. */
function firstPositions(x: tf.Tensor4D, length: number): tf.Tensor4D {
  return x.shape[1] === length ? x : tf.slice(x, [0, 0], [-1, length]);
}

/** Rows of `[B, S K D]`; `embedding` has a gradient on every engine, where `gather` has not. */
function takeRows(x: tf.Tensor4D, rows: tf.Tensor1D): tf.Tensor4D {
  const [B, S, K, D] = x.shape;
  return tf.reshape(embedding(tf.reshape(x, [B, S * K * D]), rows), [rows.size, S, K, D]);
}

const repeats = (rows: Int32Array) => new Set(rows).size < rows.length;

const hasKernel = (name: string) => tf.getKernel(name, tf.getBackend()) !== undefined;
