// What a model asks of the file its weights come from: all names and shapes first, then one tensor's values after another,
// so that no more than the model and one tensor need be in memory.

/** A parameter's values, row-major. */
export interface WeightValues {
  shape: readonly number[];
  values: Float32Array;
}

/**
 * A checkpoint to load a model from, whatever its format: `openShardedSafetensors` of `@soft-tokens/tensor` gives one. What
 * is stored under other names or in another order is brought into that of the architecture here, before it is seen.
 */
export interface WeightSource {
  /** The file that stands for the checkpoint in errors about all of it. */
  readonly path: string;
  /** Every tensor under its checkpoint name: its shape, and the file that holds it, for errors. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly file: string }>;
  /**
   * A tensor's values, row-major, which the caller may keep: in a new array, or in `into`, an array of that length, where
   * it is given and the source cares to. Each tensor is asked for once, rarely twice; all of it is about to be used.
   */
  read(name: string, into?: Float32Array): Promise<Float32Array | Int32Array>;
}

export const EMBEDDING = 'model.embed_tokens.weight';
export const LM_HEAD = 'lm_head.weight';

/** Old Llama checkpoints store their rotary frequencies, which follow from the configuration. */
const DERIVED = /\.rotary_emb\.inv_freq$/;

/** The shapes of a model's parameters, and whether its output matrix is the input embedding. */
export interface Layout {
  shapes: ReadonlyMap<string, readonly number[]>;
  tied: boolean;
}

/**
 * Throws naming the file and the tensor where a checkpoint's names or shapes are not those of the layout.
 *
 * - `missing`: the file that should hold a tensor
 */
export function checkTensors(
  tensors: WeightSource['tensors'],
  { shapes, tied }: Layout,
  missing: (name: string) => string,
): void {
  for (const [name, shape] of shapes) {
    const given = tensors.get(name);
    if (!given) {
      throw new Error(`${missing(name)}: expected a tensor ${name} [${shape}], got none; is the checkpoint complete?`);
    }
    if (given.shape.length !== shape.length || given.shape.some((n, i) => n !== shape[i])) {
      throw new Error(
        `${given.file}: ${name}: expected shape [${shape}], got [${given.shape}]; does config.json belong to it?`,
      );
    }
  }
  for (const [name, { shape, file }] of tensors) {
    if (shapes.has(name) || DERIVED.test(name) || (tied && name === LM_HEAD)) continue;
    throw new Error(`${file}: ${name}: expected no such tensor, got [${shape}]; does config.json belong to it?`);
  }
}

/** Throws naming the file and the tensor for values that no parameter can have. */
export function checkValues(file: string, name: string, values: unknown): asserts values is Float32Array {
  if (!(values instanceof Float32Array)) {
    throw new TypeError(`${file}: ${name}: expected floating-point weights, got integers; quantised?`);
  }
  const wrong = firstNotFinite(values);
  if (wrong < 0) return;
  throw new Error(
    `${file}: ${name}: expected finite weights, got ${values[wrong]} at element ${wrong}; is the file damaged?`,
  );
}

/** The index of the first NaN or infinity, -1 where there is none; a plain loop, since it sees every weight. */
function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

/** Some tied checkpoints store the matrix twice; a second one that differs would be lost. */
export function requireSame(file: string, lmHead: ArrayLike<number>, table: Float32Array): void {
  if (lmHead.length === table.length && table.every((x, i) => x === lmHead[i])) return;
  throw new Error(
    `${file}: ${LM_HEAD}: expected the values of ${EMBEDDING}, since tie_word_embeddings is true, got others; ` +
      'set tie_word_embeddings to false in config.json if the model is not tied',
  );
}
