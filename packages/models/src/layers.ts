// What the decoders here truly share. An architecture's file says which parts it has and in which order.
// Shapes: B batch, T time, S keys, d hidden size, H query heads, K key/value heads, D head dim.
import type { ForwardOptions } from '@soft-tokens/samplers';
import {
  attention,
  linear,
  type RotaryTable,
  recomputed,
  rmsNorm,
  rotary,
  rotaryTable,
  swiglu,
} from '@soft-tokens/tensor';
import {
  add,
  engine,
  mul,
  reshape,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type Tensor4D,
  tidy,
} from '@tensorflow/tfjs-core';
import type { LowRank, Weights } from './architecture.js';
import type { DecoderCache, LayerCache } from './cache.js';
import type { DecoderConfig, LayerAttention } from './config.js';

/** A linear layer's parameters as stored: `weight` `[out, in]`, `bias` `[out]`; with its adapter, where it has one. */
export interface Projection {
  weight: Tensor2D;
  bias: Tensor1D | undefined;
  adapter: LowRank | undefined;
}

/** The projection stored under `name`. */
export function projection(weight: Weights, name: string, bias = false): Projection {
  return {
    weight: weight(`${name}.weight`) as Tensor2D,
    bias: bias ? (weight(`${name}.bias`) as Tensor1D) : undefined,
    adapter: weight.adapter?.(name),
  };
}

/** W x + b, and scale B (A x) of an adapter; scaled where it is narrow. */
function project(x: Tensor, { weight, bias, adapter }: Projection): Tensor {
  const y = linear(x, weight, bias);
  return adapter ? add(y, linear(mul(linear(x, adapter.A), adapter.scale), adapter.B)) : y;
}

/** What the RMS norm stored under `name` multiplies by: `[d]`. */
export function gain(weight: Weights, name: string, { normOffset = 0 }: DecoderConfig): Tensor1D {
  const stored = weight(`${name}.weight`) as Tensor1D;
  return normOffset === 0 ? stored : add(stored, normOffset);
}

/** The RMS norm stored under `name`: `[..., d]` -> `[..., d]`. */
export function norm(x: Tensor3D, weight: Weights, name: string, config: DecoderConfig): Tensor3D {
  return rmsNorm(x, gain(weight, name, config), config.rmsNormEps) as Tensor3D;
}

/** What attention is made of. */
export interface AttentionWeights {
  q: Projection;
  k: Projection;
  v: Projection;
  o: Projection;
  /** What the RMS norms of each query and each key multiply by, `[D]`, where there are such norms. */
  qNorm?: Tensor1D;
  kNorm?: Tensor1D;
}

/** A projection of attention by its letter: to queries, keys and values, and back. */
type Letter = 'q' | 'k' | 'v' | 'o';
const LETTERS: readonly Letter[] = ['q', 'k', 'v', 'o'];

/** The projections that add a bias where a configuration has one switch for all of them. */
export const biased = ({ attentionBias }: { attentionBias: boolean }): readonly Letter[] =>
  attentionBias ? LETTERS : [];

/** The four projections stored under `name`, of which those in `biased` add a bias. */
export function attentionWeights(weight: Weights, name: string, biased: readonly Letter[] = []): AttentionWeights {
  const [q, k, v, o] = LETTERS.map((letter) => projection(weight, `${name}.${letter}_proj`, biased.includes(letter)));
  return { q: q!, k: k!, v: v!, o: o! };
}

/** The norms of queries and keys stored under `name`. */
export function headNorms(weight: Weights, name: string, config: DecoderConfig) {
  return { qNorm: gain(weight, `${name}.q_norm`, config), kNorm: gain(weight, `${name}.k_norm`, config) };
}

/** The gated feed-forward network stored under `name`. */
export function mlpWeights(weight: Weights, name: string) {
  const [gate, up, down] = ['gate', 'up', 'down'].map((part) => projection(weight, `${name}.${part}_proj`));
  return { gate: gate!, up: up!, down: down! };
}

type Shapes = [name: string, shape: number[]][];

/** The shapes of `attentionWeights`. */
export function attentionShapes(config: DecoderConfig, name: string, biased: readonly Letter[] = []): Shapes {
  const { hiddenSize: d, numHeads: H, numKeyValueHeads: K, headDim: D } = config;
  const sizes = { q: [H * D, d], k: [K * D, d], v: [K * D, d], o: [d, H * D] };
  return LETTERS.flatMap((letter): Shapes => {
    const weight: Shapes = [[`${name}.${letter}_proj.weight`, sizes[letter]]];
    return biased.includes(letter) ? [...weight, [`${name}.${letter}_proj.bias`, [sizes[letter][0]!]]] : weight;
  });
}

/** The shapes of `headNorms`. */
export function headNormShapes({ headDim: D }: DecoderConfig, name: string): Shapes {
  return [
    [`${name}.q_norm.weight`, [D]],
    [`${name}.k_norm.weight`, [D]],
  ];
}

/** The shapes of `mlpWeights`. */
export function mlpShapes({ hiddenSize: d, intermediateSize }: DecoderConfig, name: string): Shapes {
  return [
    [`${name}.gate_proj.weight`, [intermediateSize, d]],
    [`${name}.up_proj.weight`, [intermediateSize, d]],
    [`${name}.down_proj.weight`, [d, intermediateSize]],
  ];
}

/** The shapes of a norm of hidden states. */
export const normShape = ({ hiddenSize: d }: DecoderConfig, name: string): Shapes => [[`${name}.weight`, [d]]];

/** The shapes of `decoderStack` and of the embedding, given those of the layer of a name. */
export function stackShapes(config: DecoderConfig, layerShapes: (layer: string) => Shapes): Map<string, number[]> {
  const { vocabSize: V, hiddenSize: d, numLayers } = config;
  return new Map([
    ['model.embed_tokens.weight', [V, d]],
    ...Array.from({ length: numLayers }, (_, i) => layerShapes(`model.layers.${i}`)).flat(),
    ...normShape(config, 'model.norm'),
  ]);
}

/** What a layer knows besides its own weights. */
export interface LayerContext {
  config: DecoderConfig;
  /** The layer's number, from 0. */
  index: number;
  /** A query sees this many positions, its own the last; all up to it where `undefined`. */
  window: number | undefined;
  /** The angles of the inputs' positions. */
  angles: RotaryTable;
  cache: LayerCache | undefined;
}

/**
 * Causal self-attention with rotary positions and grouped heads: `x` `[B, T, d]` -> `[B, T, d]`. With a cache the keys
 * and values of `x` are appended to it, and the queries see all that it holds, or the last of it.
 */
export function selfAttention(
  x: Tensor3D,
  { config, index, window, angles, cache }: LayerContext,
  { q, k, v, o, qNorm, kNorm }: AttentionWeights,
): Tensor3D {
  const [B, T] = x.shape;
  const { numHeads: H, numKeyValueHeads: K, headDim: D, attentionScale: scale, rmsNormEps: eps } = config;
  const heads = (y: Tensor, count: number) => reshape(y, [B, T, count, D]) as Tensor4D;
  const normed = (y: Tensor4D, gain?: Tensor1D) => (gain ? (rmsNorm(y, gain, eps) as Tensor4D) : y);

  const queries = rotary(normed(heads(project(x, q), H), qNorm), angles); // [B, T, H, D]
  const keys = rotary(normed(heads(project(x, k), K), kNorm), angles); // [B, T, K, D]
  const values = heads(project(x, v), K); // [B, T, K, D]
  const seen = cache ? cache.append(index, keys, values) : { keys, values };
  const options = { padding: cache?.padding, window, scale, ...seen };
  const y = attention(queries, seen.keys, seen.values, options); // [B, T, H, D]
  return project(reshape(y, [B, T, H * D]), o) as Tensor3D;
}

/**
 * down(act(gate(x)) up(x)): `x` `[B, T, d]` -> `[B, T, d]`; `activation` is of the gate's and the other's product, silu's
 * or gelu's. Shazeer 2020, arXiv:2002.05202.
 */
export function gatedMlp(
  x: Tensor3D,
  { gate, up, down }: { gate: Projection; up: Projection; down: Projection },
  activation: typeof swiglu = swiglu,
): Tensor3D {
  return project(activation(project(x, gate), project(x, up)), down) as Tensor3D;
}

/** Runs the layers one after another, then the last norm: `inputs` `[B, T, d]` -> `[B, T, d]`. */
export function decoderStack(
  config: DecoderConfig,
  weight: Weights,
  inputs: Tensor3D,
  cache: DecoderCache | undefined,
  { recompute = false }: ForwardOptions,
  layer: (x: Tensor3D, name: string, context: LayerContext) => Tensor3D,
): Tensor3D {
  const [B, T] = inputs.shape;
  const tables = new Map<LayerAttention, RotaryTable>(); // one for all layers, or for each kind of layer
  let x = inputs;
  for (let index = 0; index < config.numLayers; index++) {
    const attention = config.layerAttention?.[index] ?? config;
    const angles = tables.get(attention) ?? anglesOf(config.headDim, attention, [B, T], cache);
    tables.set(attention, angles);
    const window = attention.slidingWindow;
    const run: Run = (x, angles, cache) => layer(x, `model.layers.${index}`, { config, index, window, angles, cache });
    if (recompute && engine().isTapeOn()) x = recomputedLayer(run, x, angles, cache, index);
    else x = tidy(() => run(x, angles, cache)); // what no gradient needs goes with its layer
  }
  cache?.advance(T);
  return norm(x, weight, 'model.norm', config);
}

/** A layer, of all that it reads but for its weights. */
type Run = (x: Tensor3D, angles: RotaryTable, cache: LayerCache | undefined) => Tensor3D;

/** A layer of which the gradient keeps the input alone, with what the cache held before it and the table of angles. */
function recomputedLayer(
  run: Run,
  x: Tensor3D,
  angles: RotaryTable,
  cache: DecoderCache | undefined,
  index: number,
): Tensor3D {
  if (!cache) return recomputed(({ x, cos, sin }) => ({ y: run(x, { cos, sin }, undefined) }), { x, ...angles }).y;
  const { held, standIn } = cache.part(index);
  const { y, keys, values } = recomputed(
    ({ x, cos, sin, ...held }) => {
      const part = standIn(held);
      const y = run(x, { cos, sin }, part);
      return { y, ...part.own! };
    },
    { x, ...angles, ...held },
  );
  cache.replace(index, { keys, values });
  return y;
}

/** The rotary table of T new positions; a row's first position after its left padding is 0. */
function anglesOf(
  headDim: number,
  { ropeTheta: theta, ropeScaling: scaling }: LayerAttention,
  [B, T]: [B: number, T: number],
  cache: DecoderCache | undefined,
): RotaryTable {
  const offset = cache?.length ?? 0;
  const padding = cache?.padding ?? new Int32Array(B);
  const alike = padding.every((count) => count === padding[0]); // then one row of angles serves all
  const rows = alike ? 1 : B;
  // The padding's own positions would be negative; nothing attends to them, so 0 does.
  const positions = Int32Array.from({ length: rows * T }, (_, i) =>
    Math.max(0, offset + (i % T) - padding[Math.floor(i / T)]!),
  );
  return rotaryTable({ headDim, theta, scaling }, positions, [rows, T]);
}
