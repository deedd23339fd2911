// What a file like llama.ts offers. Letters: B batch, T time, d hiddenSize, V vocabSize.
import type { ForwardOptions } from '@soft-tokens/samplers';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { DecoderCache } from './cache.js';
import type { DecoderConfig, RawConfig } from './config.js';
import type { GgufLayout } from './ggufLayout.js';

/** What a low-rank adapter adds to a linear layer: y = W x + b + scale B (A x). */
export interface LowRank {
  /** `[r, in]`. */
  A: Tensor2D;
  /** `[out, r]`. */
  B: Tensor2D;
  scale: number;
}

/** Looks a parameter up by its checkpoint name. */
export interface Weights {
  (name: string): Tensor;
  /** Looks up the adapter of a linear layer by the layer's name; most have none. */
  adapter?: ((name: string) => LowRank | undefined) | undefined;
}

/** One family of models: how its config.json is read, which parameters it has, and what it computes. */
export interface Architecture<C extends DecoderConfig = DecoderConfig> {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Reads config.json; throws naming `where` and the key for whatever this family does not compute as the file asks. */
  parseConfig(raw: RawConfig, where: string): C;
  /** Shape of each parameter under its checkpoint name, without `lm_head.weight`, which may be tied. */
  parameterShapes(config: C): Map<string, number[]>;
  /** How the family stands in GGUF files; left out where llama.cpp does not know it. */
  readonly gguf?: GgufLayout<C>;
  /** Input embeddings `[B, T, d]` to final hidden states `[B, T, d]`, after the last norm. Grows the cache by T. */
  forward(
    config: C,
    weight: Weights,
    inputs: Tensor3D,
    cache: DecoderCache | undefined,
    options: ForwardOptions,
  ): Tensor3D;
}
