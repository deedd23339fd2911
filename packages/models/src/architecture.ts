// What a file like llama.ts offers. Letters: B batch, T time, d hiddenSize, V vocabSize.
import type { ForwardOptions } from '@soft-tokens/samplers';
import type { Tensor, Tensor3D } from '@tensorflow/tfjs-core';
import type { DecoderCache } from './cache.js';
import type { DecoderConfig, RawConfig } from './config.js';

/** Looks a parameter up by its checkpoint name. */
export type Weights = (name: string) => Tensor;

/** One family of models: how its config.json is read, which parameters it has, and what it computes. */
export interface Architecture<C extends DecoderConfig = DecoderConfig> {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Reads config.json; throws naming `where` and the key for whatever this family does not compute as the file asks. */
  parseConfig(raw: RawConfig, where: string): C;
  /** Shape of each parameter under its checkpoint name, without `lm_head.weight`, which may be tied. */
  parameterShapes(config: C): Map<string, number[]>;
  /** Input embeddings `[B, T, d]` to final hidden states `[B, T, d]`, after the last norm. Grows the cache by T. */
  forward(
    config: C,
    weight: Weights,
    inputs: Tensor3D,
    cache: DecoderCache | undefined,
    options: ForwardOptions,
  ): Tensor3D;
}
