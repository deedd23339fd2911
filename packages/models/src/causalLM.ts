// A language model over a set of named parameters. Letters: B batch, T time, d hiddenSize, V vocabSize.
import type { ForwardOptions, Head, KeyValueCache, LanguageModel } from '@soft-tokens/samplers';
import { embedding, headLogits, headLogProb, headMixture, normalArray } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { Architecture, Weights } from './architecture.js';
import { DecoderCache } from './cache.js';
import type { RawConfig } from './config.js';

/** A parameter's values, row-major. */
export interface WeightValues {
  shape: readonly number[];
  values: Float32Array;
}

/** A language model whose parameters can be trained and saved. */
export interface CausalLM extends LanguageModel {
  /** `model_type` of its architecture. */
  readonly modelType: string;
  /** config.json as it was read, kept whole for saving. */
  readonly config: RawConfig;
  /** Every parameter, float32, under its checkpoint name. A variable's own `name` is unique in the process. */
  readonly parameters: ReadonlyMap<string, tf.Variable>;
  /** How many numbers the parameters hold. */
  readonly parameterCount: number;
  /** E, `[V, d]`: one of the parameters; also the output matrix where the model is tied. */
  readonly inputEmbedding: tf.Variable<tf.Rank.R2>;
  /** Frees the parameters. */
  dispose(): void;
}

const EMBEDDING = 'model.embed_tokens.weight';
const LM_HEAD = 'lm_head.weight';

/** Old Llama checkpoints store their rotary frequencies, which follow from the configuration. */
const DERIVED = /\.rotary_emb\.inv_freq$/;

/** The stream of random numbers that fresh weights come from; a run with the same seed draws its noise elsewhere. */
const WEIGHT_STREAM = 14;

let modelCount = 0;

/**
 * A model of an architecture with given weights, on the engine in use. The output matrix is the input embedding where
 * config.json sets `tie_word_embeddings`, or does not say and there is no `lm_head.weight`.
 *
 * - `config`: the object of config.json; `weights`: checkpoint name to values; copied nowhere, so do not change them
 * - `where`: names the file of a parameter in errors
 *
 * @throws Error naming the key for a configuration, and the tensor for a weight that is missing, unexpected, of another
 * shape or not finite.
 * @example
 * const model = createCausalLM(llama, config, initialWeights(llama, config, 1));
 * model.forward(model.embed(tf.tensor2d([[1, 2, 3]], [1, 3], 'int32')) as tf.Tensor3D); // [1, 3, d]
 */
export function createCausalLM(
  architecture: Architecture,
  config: RawConfig,
  weights: Readonly<Record<string, WeightValues>>,
  {
    configFile = 'config.json',
    where = () => 'weights',
  }: { configFile?: string; where?: (name: string) => string } = {},
): CausalLM {
  const settings = architecture.parseConfig(config, configFile);
  const shapes = architecture.parameterShapes(settings);
  const tied = settings.tieWordEmbeddings ?? weights[LM_HEAD] === undefined;
  if (!tied) shapes.set(LM_HEAD, [settings.vocabSize, settings.hiddenSize]);
  checkWeights(weights, shapes, tied, where);

  const prefix = `model${++modelCount}`;
  const parameters = new Map<string, tf.Variable>();
  for (const [name, shape] of shapes) {
    const initial = tf.tensor(weights[name]!.values, shape, 'float32');
    parameters.set(name, tf.variable(initial, true, `${prefix}/${name}`));
    initial.dispose();
  }

  const weight: Weights = (name) => parameters.get(name)!;
  const E = weight(EMBEDDING) as tf.Variable<tf.Rank.R2>;
  const W = (tied ? E : weight(LM_HEAD)) as tf.Tensor2D;
  const { vocabSize: V, hiddenSize: d } = settings;

  const head: Head = {
    logits: (hidden) => tf.tidy(() => headLogits(hidden, W)),
    logProb: (hidden, ids, temperature) => tf.tidy(() => headLogProb(hidden, W, ids, temperature)),
    mixture: (hidden, temperature) => tf.tidy(() => headMixture(hidden, W, E, temperature)),
  };

  function forward(inputs: tf.Tensor3D, cache?: KeyValueCache, options: ForwardOptions = {}): tf.Tensor3D {
    if (inputs.rank !== 3 || inputs.shape[2] !== d || inputs.shape[1] === 0) {
      throw new RangeError(`forward: expected inputs [B, T, ${d}] with T > 0, got [${inputs.shape}]`);
    }
    if (cache !== undefined && !(cache instanceof DecoderCache)) {
      throw new TypeError('forward: expected a cache of this package, got another; make it with createCache()');
    }
    cache?.requireUsable('forward');
    if (cache && cache.padding.length !== inputs.shape[0]) {
      throw new RangeError(`forward: expected ${cache.padding.length} rows, as the cache has, got ${inputs.shape[0]}`);
    }
    try {
      return tf.tidy(() => architecture.forward(settings, weight, inputs, cache, options));
    } catch (error) {
      cache?.dispose(); // some of its layers may have grown already
      throw error;
    }
  }

  return {
    modelType: architecture.modelType,
    config: { ...config, tie_word_embeddings: tied },
    vocabSize: V,
    hiddenSize: d,
    parameters,
    parameterCount: [...parameters.values()].reduce((sum, { size }) => sum + size, 0),
    inputEmbedding: E,
    head,
    embed: (ids) => tf.tidy(() => embedding(E, ids)),
    mix(weights) {
      if (weights.shape.at(-1) !== V) {
        throw new RangeError(`mix: expected weights [..., ${V}], got [${weights.shape}]`);
      }
      return tf.tidy(() => {
        const rows = tf.matMul(tf.reshape(weights, [-1, V]), E);
        return tf.reshape(rows, [...weights.shape.slice(0, -1), d]);
      });
    },
    createCache: (padding) => new DecoderCache(settings.numLayers, padding),
    forward,
    dispose: () => tf.dispose([...parameters.values()]),
  };
}

/**
 * Fresh weights for training from scratch: matrices from N(0, `initializer_range`), norms 1, biases 0. Untied where
 * config.json says `tie_word_embeddings: false`, tied otherwise. The same seed gives the same weights.
 *
 * @throws Error naming the key for a configuration that does not fit the architecture.
 * @example createCausalLM(llama, config, initialWeights(llama, config, 1));
 */
export function initialWeights(
  architecture: Architecture,
  config: RawConfig,
  seed: number,
): Record<string, WeightValues> {
  const settings = architecture.parseConfig(config, 'config.json');
  const shapes = architecture.parameterShapes(settings);
  if (settings.tieWordEmbeddings === false) shapes.set(LM_HEAD, [settings.vocabSize, settings.hiddenSize]);

  return Object.fromEntries(
    [...shapes].map(([name, shape], index) => {
      const size = shape.reduce((product, n) => product * n, 1);
      if (shape.length === 1) {
        return [name, { shape, values: new Float32Array(size).fill(name.endsWith('norm.weight') ? 1 : 0) }];
      }
      const values = normalArray({ seed, step: 0, sample: index, position: 0, stream: WEIGHT_STREAM }, size);
      for (let i = 0; i < size; i++) values[i]! *= settings.initializerRange; // `map` takes as long as the draw
      return [name, { shape, values }];
    }),
  );
}

function checkWeights(
  weights: Readonly<Record<string, WeightValues>>,
  shapes: ReadonlyMap<string, number[]>,
  tied: boolean,
  where: (name: string) => string,
): void {
  for (const [name, shape] of shapes) {
    const given = weights[name];
    if (!given) {
      throw new Error(`${where(name)}: expected a tensor ${name} [${shape}], got none; is the checkpoint complete?`);
    }
    if (given.shape.length !== shape.length || given.shape.some((n, i) => n !== shape[i])) {
      throw new Error(
        `${where(name)}: ${name}: expected shape [${shape}], got [${given.shape}]; does config.json belong to it?`,
      );
    }
    if (!(given.values instanceof Float32Array)) {
      throw new TypeError(`${where(name)}: ${name}: expected floating-point weights, got integers; quantised?`);
    }
    const wrong = firstNotFinite(given.values);
    if (wrong >= 0) {
      throw new Error(
        `${where(name)}: ${name}: expected finite weights, got ${given.values[wrong]} at element ${wrong}; is the file damaged?`,
      );
    }
  }
  for (const name of Object.keys(weights)) {
    if (shapes.has(name) || DERIVED.test(name)) continue;
    if (tied && name === LM_HEAD) {
      requireSame(weights[LM_HEAD]!, weights[EMBEDDING]!, where(name));
      continue;
    }
    throw new Error(
      `${where(name)}: ${name}: expected no such tensor, got [${weights[name]!.shape}]; does config.json belong to it?`,
    );
  }
}

/** The index of the first NaN or infinity, -1 where there is none; a plain loop, since it sees every weight. */
function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

/** Some tied checkpoints store the matrix twice; a second one that differs would be lost. */
function requireSame(lmHead: WeightValues, table: WeightValues, file: string): void {
  const same = lmHead.values.length === table.values.length && lmHead.values.every((x, i) => x === table.values[i]);
  if (!same) {
    throw new Error(
      `${file}: ${LM_HEAD}: expected the values of ${EMBEDDING}, since tie_word_embeddings is true, got others; ` +
        'set tie_word_embeddings to false in config.json if the model is not tied',
    );
  }
}
