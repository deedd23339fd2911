// Low-rank adapters (LoRA): trainable corrections beside frozen linear layers.
//
//   y = W x + b + s B (A x),   s = α / r, or α / √r (rsLoRA)
//
// Shapes: A [r, in], B [out, r]. What trains a model trains its `parameters`: here the adapters' alone, so that memory for
// parameters, gradients and optimiser state grows by those.
import { uniformArray } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { LowRank } from './architecture.js';
import type { CausalLM } from './causalLM.js';
import type { WeightValues } from './weightSource.js';

/** What an adapter of a model is. */
export interface LoraSettings {
  /** The rank. */
  r: number;
  /** α: the adapters count α / r times. */
  alpha: number;
  /**
   * Names of linear layers, or ends of them: `q_proj` is that of every layer, `layers.0.self_attn.q_proj` one. Or
   * `all-linear`: every one but the output matrix.
   */
  target: readonly string[] | 'all-linear';
  /** Count α / √r times instead; arXiv:2312.03732. */
  useRslora?: boolean | undefined;
}

/** A model with adapters: its `parameters` are theirs, under PEFT's names, and the rest is the base's own. */
export interface LoraModel extends CausalLM {
  /** The model without them. `dispose` leaves it. */
  readonly base: CausalLM;
  readonly lora: Readonly<LoraSettings>;
}

/** The stream of random numbers that fresh adapters come from. */
const ADAPTER_STREAM = 13;

/** Of a model's matrices, those that are no linear layer within the stack. */
const OUTSIDE = new Set(['model.embed_tokens.weight', 'lm_head.weight']);

let adapterCount = 0;

/**
 * A model with fresh low-rank adapters on some of its linear layers. It shares the base's weights, which stay as they
 * are, and computes at first what the base does:
 *
 *   y = W x + b + (α / r) B (A x),   A ~ U(-1/√in, 1/√in),   B = 0
 *
 * - `target`: see `LoraSettings`; `seed`: the same one gives the same A
 *
 * @throws RangeError for a rank or α that is not positive, and for a target that is no linear layer, naming those there
 * are; TypeError for a base that has adapters itself.
 * References: Hu et al. 2021, arXiv:2106.09685, eq. 3; A as PEFT draws it: He et al. 2015 with a = √5.
 * @example const lora = withLora(model, { r: 16, alpha: 32, target: ['q_proj', 'v_proj'], seed: 1 });
 */
export function withLora(base: CausalLM, { seed, ...settings }: LoraSettings & { seed: number }): LoraModel {
  const weights = [...adapterShapes(shapesOf(base), settings)].map(([name, shape], sample): [string, WeightValues] => {
    const size = shape[0] * shape[1];
    if (name.endsWith(B)) return [name, { shape, values: new Float32Array(size) }];
    const bound = 1 / Math.sqrt(shape[1]);
    const uniform = uniformArray({ seed, step: 0, sample, position: 0, stream: ADAPTER_STREAM }, size);
    return [name, { shape, values: uniform.map((u) => (2 * u - 1) * bound) }];
  });
  return loraModel(base, settings, Object.fromEntries(weights));
}

/** A model with adapters of given values, which `adapterShapes` gives the shapes of. */
export function loraModel(
  base: CausalLM,
  settings: LoraSettings,
  weights: Readonly<Record<string, WeightValues>>,
): LoraModel {
  const prefix = `adapter${++adapterCount}`;
  const parameters = new Map<string, tf.Variable>();
  for (const [name, shape] of adapterShapes(shapesOf(base), settings)) {
    const initial = tf.tensor(weights[name]!.values, shape, 'float32');
    parameters.set(name, tf.variable(initial, true, `${prefix}/${name}`));
    initial.dispose();
  }
  const adapters = adaptersOf(base, settings, parameters);
  const adapter = (layer: string) => adapters.get(layer);
  return {
    base,
    lora: settings,
    modelType: base.modelType,
    config: base.config,
    vocabSize: base.vocabSize,
    hiddenSize: base.hiddenSize,
    parameters,
    parameterCount: [...parameters.values()].reduce((sum, { size }) => sum + size, 0),
    inputEmbedding: base.inputEmbedding,
    embeddingScale: base.embeddingScale,
    head: base.head,
    embed: (ids) => base.embed(ids),
    mix: (weights) => base.mix(weights),
    createCache: (padding) => base.createCache(padding),
    forward: (inputs, cache, options) => base.forward(inputs, cache, { ...options, adapter }),
    dispose: () => tf.dispose([...parameters.values()]),
  };
}

/** Whether a model has adapters. */
export const isLora = (model: CausalLM): model is LoraModel => 'lora' in model;

/**
 * Adds the adapters to the base's own weights and frees them:
 *
 *   W += s B A
 *
 * - returns the base, which now computes what the model did, up to rounding
 *
 * @example await saveModel(mergeLora(lora), 'merged');
 */
export function mergeLora({ base, lora, parameters }: LoraModel): CausalLM {
  for (const [layer, { A, B, scale }] of adaptersOf(base, lora, parameters)) {
    const weight = base.parameters.get(`${layer}.weight`)!;
    tf.tidy(() => weight.assign(tf.add(weight, tf.mul(tf.matMul(B, A), scale))));
  }
  tf.dispose([...parameters.values()]);
  return base;
}

/** PEFT's names: this, a layer's name, and one of the two ends. */
const PEFT = 'base_model.model.';
const A = '.lora_A.weight';
const B = '.lora_B.weight';

/** The adapters by their layers' names. */
function adaptersOf(
  base: CausalLM,
  { r, alpha, useRslora, target }: LoraSettings,
  parameters: LoraModel['parameters'],
): Map<string, LowRank> {
  const scale = alpha / (useRslora ? Math.sqrt(r) : r);
  const part = (layer: string, end: string) => parameters.get(`${PEFT}${layer}${end}`) as tf.Variable<tf.Rank.R2>;
  return new Map(
    targetLayers(shapesOf(base), target).map((layer) => [layer, { A: part(layer, A), B: part(layer, B), scale }]),
  );
}

/** The shapes of a model's parameters. Throws for one with adapters. */
export function shapesOf(base: CausalLM): Map<string, readonly number[]> {
  if (isLora(base))
    throw new TypeError('withLora: expected a model, got one with adapters; merge them first: mergeLora');
  return new Map(Array.from(base.parameters, ([name, { shape }]) => [name, shape]));
}

/**
 * The shapes of the adapters' parameters, under PEFT's names: A `[r, in]` and B `[out, r]` of each layer that is meant.
 *
 * - `shapes`: those of the model's parameters, by checkpoint name
 *
 * @throws RangeError for settings that do not fit the model.
 * @example adapterShapes(await modelParameters('SmolLM2-135M'), { r: 8, alpha: 16, target: ['q_proj'] });
 */
export function adapterShapes(shapes: Shapes, settings: LoraSettings): Map<string, [number, number]> {
  const { r, alpha, target } = settings;
  if (!(Number.isSafeInteger(r) && r > 0)) throw new RangeError(`withLora: r: expected a whole number > 0, got ${r}`);
  if (!(alpha > 0 && Number.isFinite(alpha)))
    throw new RangeError(`withLora: alpha: expected a number > 0, got ${alpha}`);
  const adapters = new Map<string, [number, number]>();
  for (const layer of targetLayers(shapes, target)) {
    const [out, width] = shapes.get(`${layer}.weight`) as [number, number];
    adapters.set(`${PEFT}${layer}${A}`, [r, width]).set(`${PEFT}${layer}${B}`, [out, r]);
  }
  return adapters;
}

/** The shapes of a model's parameters, by checkpoint name. */
type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * The short names of a model's linear layers, which adapters can be put on: `q_proj`, `down_proj` and so on.
 *
 * @example linearNames(architecture.parameterShapes(config));
 */
export function linearNames(shapes: Shapes): string[] {
  return [...new Set(linearLayers(shapes).map((layer) => layer.slice(layer.lastIndexOf('.') + 1)))];
}

/**
 * The first name of a target that is no linear layer of a model, nor the end of one's; `undefined` where all are.
 *
 * @example unknownTarget(architecture.parameterShapes(config), ['q_proj', 'c_attn']); // 'c_attn'
 */
export function unknownTarget(shapes: Shapes, target: LoraSettings['target']): string | undefined {
  if (target === 'all-linear') return undefined;
  const layers = linearLayers(shapes);
  return target.find((name) => !layers.some((layer) => isMeant(layer, name)));
}

function linearLayers(shapes: Shapes): string[] {
  return [...shapes].flatMap(([name, shape]) =>
    shape.length === 2 && !OUTSIDE.has(name) ? [name.replace(/\.weight$/, '')] : [],
  );
}

/** Whether a name is a layer's, or the end of it. */
const isMeant = (layer: string, name: string) => layer === name || layer.endsWith(`.${name}`);

/** The linear layers that are meant, in the model's order. */
function targetLayers(shapes: Shapes, target: LoraSettings['target']): string[] {
  const layers = linearLayers(shapes);
  if (target === 'all-linear') return layers;
  const unknown = unknownTarget(shapes, target);
  if (unknown !== undefined || target.length === 0) {
    throw new RangeError(
      `withLora: target: expected all-linear, or some of ${linearNames(shapes).join(', ')}, got ${unknown ?? 'none'}`,
    );
  }
  return layers.filter((layer) => target.some((name) => isMeant(layer, name)));
}
