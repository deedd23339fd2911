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
import type { DecoderConfig } from './config.js';

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

/** The RMS norm stored under `name`: `[..., d]` -> `[..., d]`. */
export function norm(x: Tensor3D, weight: Weights, name: string, eps: number): Tensor3D {
  return rmsNorm(x, weight(`${name}.weight`) as Tensor1D, eps) as Tensor3D;
}

/** What a layer knows besides its own weights. */
export interface LayerContext {
  config: DecoderConfig;
  /** The layer's number, from 0. */
  index: number;
  /** The angles of the inputs' positions. */
  angles: RotaryTable;
  cache: LayerCache | undefined;
}

/**
 * Causal self-attention with rotary positions and grouped heads: `x` `[B, T, d]` -> `[B, T, d]`. With a cache the keys
 * and values of `x` are appended to it, and the queries see all that it holds.
 */
export function selfAttention(
  x: Tensor3D,
  { config, index, angles, cache }: LayerContext,
  { q, k, v, o }: { q: Projection; k: Projection; v: Projection; o: Projection },
): Tensor3D {
  const [B, T] = x.shape;
  const { numHeads: H, numKeyValueHeads: K, headDim: D } = config;
  const heads = (y: Tensor, count: number) => reshape(y, [B, T, count, D]) as Tensor4D;

  const queries = rotary(heads(project(x, q), H), angles); // [B, T, H, D]
  const keys = rotary(heads(project(x, k), K), angles); // [B, T, K, D]
  const values = heads(project(x, v), K); // [B, T, K, D]
  const seen = cache ? cache.append(index, keys, values) : { keys, values };
  const y = attention(queries, seen.keys, seen.values, { padding: cache?.padding, ...seen }); // [B, T, H, D]
  return project(reshape(y, [B, T, H * D]), o) as Tensor3D;
}

/** down(silu(gate(x)) up(x)): `x` `[B, T, d]` -> `[B, T, d]`. Shazeer 2020, arXiv:2002.05202. */
export function gatedMlp(
  x: Tensor3D,
  { gate, up, down }: { gate: Projection; up: Projection; down: Projection },
): Tensor3D {
  return project(swiglu(project(x, gate), project(x, up)), down) as Tensor3D;
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
  const angles = anglesOf(config, B, T, cache);
  let x = inputs;
  for (let index = 0; index < config.numLayers; index++) {
    const run: Run = (x, angles, cache) => layer(x, `model.layers.${index}`, { config, index, angles, cache });
    if (recompute && engine().isTapeOn()) x = recomputedLayer(run, x, angles, cache, index);
    else x = tidy(() => run(x, angles, cache)); // what no gradient needs goes with its layer
  }
  cache?.advance(T);
  return norm(x, weight, 'model.norm', config.rmsNormEps);
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
function anglesOf(config: DecoderConfig, B: number, T: number, cache: DecoderCache | undefined): RotaryTable {
  const { headDim, ropeTheta: theta, ropeScaling: scaling } = config;
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
