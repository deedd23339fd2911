// A language model over a set of named parameters. Letters: B batch, T time, d hiddenSize, V vocabSize.
import type { ForwardOptions, Head, KeyValueCache, LanguageModel } from '@soft-tokens/samplers';
import { embedding, headLogits, headLogProb, headMixture, normalArray, requireMemory } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { Architecture, Weights } from './architecture.js';
import { DecoderCache } from './cache.js';
import type { DecoderConfig, RawConfig } from './config.js';
import {
  checkTensors,
  checkValues,
  EMBEDDING,
  type Layout,
  LM_HEAD,
  requireSame,
  type WeightSource,
  type WeightValues,
} from './weightSource.js';

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
  /** E as stored, `[V, d]`: one of the parameters; also the output matrix where the model is tied. */
  readonly inputEmbedding: tf.Variable<tf.Rank.R2>;
  /**
   * s: the stack reads the rows of s E, which `embed`, `mix` and `head.mixture` give; a tied head's logits come from E
   * itself. 1 for most models, √d for Gemma. Noise on soft tokens is measured in s E: see `embeddingRms`.
   */
  readonly embeddingScale: number;
  /** As any language model's, with the adapters that the options name. */
  forward(inputs: tf.Tensor3D, cache?: KeyValueCache, options?: DecoderOptions): tf.Tensor3D;
  /** Frees the parameters. */
  dispose(): void;
}

export interface DecoderOptions extends ForwardOptions {
  /** Looks up what is added to a linear layer, by the layer's name; see `withLora`. */
  adapter?: Weights['adapter'];
}

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
  const tensors = new Map(Object.entries(weights).map(([name, { shape }]) => [name, { shape, file: where(name) }]));
  const plan = planOf(architecture, config, tensors, { configFile, missing: where });
  const valuesOf = (name: string) => {
    const { values } = weights[name]!;
    checkValues(where(name), name, values);
    return values;
  };
  if (plan.repeated) requireSame(where(LM_HEAD), weights[LM_HEAD]!.values, valuesOf(EMBEDDING));

  const parameters = new ParameterMaker();
  try {
    for (const [name, shape] of plan.shapes) parameters.add(name, shape, valuesOf(name));
  } catch (error) {
    parameters.dispose();
    throw error;
  }
  return modelOf(plan, config, parameters.made);
}

/** How a model is loaded. */
export interface LoadOptions {
  /** Load it even where memory seems too small for it; so does the environment variable SOFT_TOKENS_IGNORE_MEMORY=1. */
  ignoreMemory?: boolean | undefined;
}

/**
 * The same with weights read one tensor after another, so that no two copies of the model are in memory.
 *
 * @throws Error as `createCausalLM` does, before anything is read where memory is too small for the model in float32, and
 * whatever `read` of the source throws. No parameter is left behind.
 * @example await loadCausalLM(llama, config, await openShardedSafetensors('SmolLM2-135M'));
 */
export async function loadCausalLM(
  architecture: Architecture,
  config: RawConfig,
  source: WeightSource,
  { configFile = 'config.json', ignoreMemory = false }: { configFile?: string } & LoadOptions = {},
): Promise<CausalLM> {
  const { tensors, path } = source;
  const plan = planOf(architecture, config, tensors, { configFile, missing: () => path });
  // The wasm engine copies what a tensor is made of at once; the others keep it, now or until its first use.
  const staging =
    tf.getBackend() === 'wasm'
      ? [...plan.shapes.values()].reduce((most, shape) => Math.max(most, sizeOf(shape)), 0)
      : 0;
  if (!ignoreMemory) {
    const total = countOf(plan.shapes);
    const repeated = plan.repeated ? sizeOf(plan.shapes.get(EMBEDDING)!) : 0;
    requireMemory(path, `${total.toLocaleString('en-US')} parameters in float32`, 4 * (total + staging + repeated));
  }
  const staged = staging > 0 ? new Float32Array(staging) : undefined;
  const read = async (name: string, into?: Float32Array) => {
    const { shape, file } = tensors.get(name)!;
    const values = await source.read(name, into?.subarray(0, sizeOf(shape)));
    checkValues(file, name, values);
    return values;
  };

  const parameters = new ParameterMaker();
  try {
    for (const [name, shape] of plan.shapes) {
      const values = await read(name, staged);
      if (plan.repeated && name === EMBEDDING) requireSame(tensors.get(LM_HEAD)!.file, await read(LM_HEAD), values);
      parameters.add(name, shape, values);
    }
  } catch (error) {
    parameters.dispose();
    throw error;
  }
  return modelOf(plan, config, parameters.made);
}

/**
 * The parameters that a model loaded from a source has, under their checkpoint names, with their shapes.
 *
 * @throws Error as `createCausalLM` does for names and shapes.
 */
export function parameterShapes(
  architecture: Architecture,
  config: RawConfig,
  { tensors, path }: Pick<WeightSource, 'tensors' | 'path'>,
  configFile: string,
): ReadonlyMap<string, readonly number[]> {
  return planOf(architecture, config, tensors, { configFile, missing: () => path }).shapes;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** How many numbers tensors of these shapes hold. */
const countOf = (shapes: Layout['shapes']) => [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);

/** What a configuration and the names of a checkpoint's tensors make of a model. */
interface Plan extends Layout {
  architecture: Architecture;
  settings: DecoderConfig;
  /** Whether a tied checkpoint has the output matrix all the same. */
  repeated: boolean;
}

/** Throws naming the file and the tensor where the checkpoint's names or shapes are not those of the configuration. */
function planOf(
  architecture: Architecture,
  config: RawConfig,
  tensors: WeightSource['tensors'],
  { configFile, missing }: { configFile: string; missing: (name: string) => string },
): Plan {
  const settings = architecture.parseConfig(config, configFile);
  const shapes = architecture.parameterShapes(settings);
  const tied = settings.tieWordEmbeddings ?? !tensors.has(LM_HEAD);
  if (!tied) shapes.set(LM_HEAD, [settings.vocabSize, settings.hiddenSize]);
  checkTensors(tensors, { shapes, tied }, missing);
  return { architecture, settings, shapes, tied, repeated: tied && tensors.has(LM_HEAD) };
}

/** Makes the variables of a model. */
class ParameterMaker {
  readonly made = new Map<string, tf.Variable>();
  readonly #prefix = `model${++modelCount}`;

  add(name: string, shape: readonly number[], values: Float32Array): void {
    const initial = tf.tensor(values, [...shape], 'float32');
    this.made.set(name, tf.variable(initial, true, `${this.#prefix}/${name}`));
    initial.dispose();
  }

  dispose(): void {
    tf.dispose([...this.made.values()]);
  }
}

function modelOf(
  { architecture, settings, tied }: Plan,
  config: RawConfig,
  parameters: ReadonlyMap<string, tf.Variable>,
): CausalLM {
  const weight: Weights = (name) => parameters.get(name)!;
  const E = weight(EMBEDDING) as tf.Variable<tf.Rank.R2>;
  const W = (tied ? E : weight(LM_HEAD)) as tf.Tensor2D;
  const { vocabSize: V, hiddenSize: d, embeddingScale = 1 } = settings;
  const scaled = (rows: tf.Tensor) => (embeddingScale === 1 ? rows : tf.mul(rows, embeddingScale));

  const head: Head = {
    logits: (hidden) => tf.tidy(() => headLogits(hidden, W)),
    logProb: (hidden, ids, temperature) => tf.tidy(() => headLogProb(hidden, W, ids, temperature)),
    mixture: (hidden, temperature) => tf.tidy(() => scaled(headMixture(hidden, W, E, temperature))),
  };

  function forward(inputs: tf.Tensor3D, cache?: KeyValueCache, options: DecoderOptions = {}): tf.Tensor3D {
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
    const weights: Weights = Object.assign((name: string) => weight(name), { adapter: options.adapter });
    try {
      return tf.tidy(() => architecture.forward(settings, weights, inputs, cache, options));
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
    embeddingScale,
    embed: (ids) => tf.tidy(() => scaled(embedding(E, ids))),
    mix(weights) {
      if (weights.shape.at(-1) !== V) {
        throw new RangeError(`mix: expected weights [..., ${V}], got [${weights.shape}]`);
      }
      return tf.tidy(() => {
        const rows = tf.matMul(tf.reshape(weights, [-1, V]), E);
        return tf.reshape(scaled(rows), [...weights.shape.slice(0, -1), d]);
      });
    },
    createCache: (padding) => new DecoderCache(settings.numLayers, padding),
    forward,
    dispose: () => tf.dispose([...parameters.values()]),
  };
}

/**
 * The shapes of `initialWeights`, without making any.
 *
 * @throws Error naming the key for a configuration that does not fit the architecture.
 * @example initialShapes(llama, config).get('model.norm.weight'); // [16]
 */
export function initialShapes(architecture: Architecture, config: RawConfig): Map<string, number[]> {
  const settings = architecture.parseConfig(config, 'config.json');
  const shapes = architecture.parameterShapes(settings);
  if (settings.tieWordEmbeddings === false) shapes.set(LM_HEAD, [settings.vocabSize, settings.hiddenSize]);
  return shapes;
}

/**
 * Fresh weights for training from scratch: matrices from N(0, `initializer_range`), norms that multiply by 1, biases 0.
 * Untied where config.json says `tie_word_embeddings: false`, tied otherwise. The same seed gives the same weights.
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
  const shapes = initialShapes(architecture, config);

  const freshNorm = 1 - (settings.normOffset ?? 0);
  return Object.fromEntries(
    [...shapes].map(([name, shape], index) => {
      const size = sizeOf(shape);
      if (shape.length === 1) {
        return [name, { shape, values: new Float32Array(size).fill(name.endsWith('norm.weight') ? freshNorm : 0) }];
      }
      const values = normalArray({ seed, step: 0, sample: index, position: 0, stream: WEIGHT_STREAM }, size);
      for (let i = 0; i < size; i++) values[i]! *= settings.initializerRange; // `map` takes as long as the draw
      return [name, { shape, values }];
    }),
  );
}
