// The two contracts of the project: what a language model offers, and what a way of thinking is.
// Letters: B batch, T time, d hiddenSize, V vocabSize.

import type { Noise } from '@soft-tokens/tensor';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** Keys and values of the positions a model has read so far, one row per sequence. Immutable but for `forward`. */
export interface KeyValueCache {
  /** Positions held, left padding included. */
  readonly length: number;
  /** A new cache whose row i is this cache's row `rows[i]`; rows may repeat. Differentiable. The caller disposes both. */
  select(rows: Int32Array): KeyValueCache;
  /** Frees the tensors held. */
  dispose(): void;
}

/** How a forward pass is computed; it changes no result. */
export interface ForwardOptions {
  /** While a gradient is recorded: keep each layer's input alone, and compute the layer again in the backward pass. */
  recompute?: boolean | undefined;
}

/** Everything that touches the vocabulary. */
export interface Head {
  /** Logits z = W h: `hidden` `[..., d]` -> `[..., V]`, float32. */
  logits(hidden: Tensor): Tensor;
  /** log softmax(z / τ) at `ids`: `[..., d]`, `[...]` int32 -> `[...]`. Never holds `[..., V]` whole. τ > 0. */
  logProb(hidden: Tensor, ids: Tensor, temperature: number): Tensor;
  /**
   * softmax(z / τ) E, with the rows e_i that `embed` gives: `[..., d]` -> `[..., d]`. Never holds `[..., V]` whole. τ > 0.
   * Soft Tokens, eq. 5.
   */
  mixture(hidden: Tensor, temperature: number): Tensor;
}

/** A causal language model that reads input embeddings: the door soft tokens come through. */
export interface LanguageModel {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Rows e_i of the input embedding E, as the stack reads them (Gemma's times √d): `ids` `[...]` int32 -> `[..., d]`. */
  embed(ids: Tensor): Tensor;
  /** Σ_i w_i e_i, the linear extension of `embed`: `weights` `[..., V]` -> `[..., d]`. One-hot weights give `embed`. */
  mix(weights: Tensor): Tensor;
  /** An empty cache for B rows, row b with `padding[b]` left-padding positions that no later position attends to. */
  createCache(padding: Int32Array): KeyValueCache;
  /**
   * Input embeddings `[B, T, d]` to final hidden states `[B, T, d]`, causally; `hidden[:, t]` predicts position t + 1.
   * With a cache, the inputs follow the positions it holds, and their keys and values are appended to it.
   */
  forward(inputs: Tensor3D, cache?: KeyValueCache, options?: ForwardOptions): Tensor3D;
  readonly head: Head;
}

/** What a sampler did at one step, as named tensors with leading axis B; recorded, and scored later with axes `[B, T]`. */
export type Action = Record<string, Tensor>;

/** One thought step of B sequences. */
export interface Step<A extends Action> {
  /** What the stack is fed next, `[B, d]`. */
  input: Tensor2D;
  /** What was drawn: everything `inputs` and `logProb` need. */
  action: A;
  /** The greedy id of each row's distribution: the readable shadow of the thought. */
  shadow: Int32Array;
}

/** What a thought step is drawn from, as far as a divergence between two policies is computed from it. */
export type StepDistribution =
  /** One of the vocabulary's ids, whose log-probability `logProb` gives. */
  | { readonly kind: 'tokens' }
  /** N(mean, σ² I), σ the same for all policies: `hidden` `[B, T, d]` -> mean `[B, T, n]`, differentiable. */
  | { readonly kind: 'gaussian'; readonly noiseScale: number; mean(hidden: Tensor3D, model: LanguageModel): Tensor };

/**
 * A way of thinking: how a thought step is drawn, and the log-probability of what was drawn. The two live side by side
 * because they are one piece of mathematics. Written with plain tfjs operations; run inside `tf.tidy` by the callers.
 */
export interface Sampler<A extends Action = Action> {
  readonly name: string;
  /** Draws the next thought token from final hidden states `[B, d]`. `noise` is fresh for each position. */
  step(hidden: Tensor2D, model: LanguageModel, noise: Noise): Step<A>;
  /** The stack's inputs for recorded actions, `[B, T, d]`; differentiable where parameters produce them. */
  inputs(action: A, model: LanguageModel): Tensor3D;
  /**
   * log π(action_t | what came before), `[B, T]`, differentiable in the parameters; `hidden[:, t]` `[B, T, d]` is the
   * state that predicts position t. Terms that do not depend on the parameters may be left out.
   *
   * Sequences of a batch differ in length. Beyond a sequence's end the recorded actions are zero, and the result there,
   * like its gradient, must be finite: it is multiplied by 0, which makes no number of an infinity or NaN.
   */
  logProb(hidden: Tensor3D, model: LanguageModel, action: A): Tensor2D;
  /** Left out where two policies may draw from different spaces, as of different logits: no divergence is finite there. */
  readonly distribution?: StepDistribution | undefined;
}

/** Text to ids and back; a tokenizer satisfies it. `encode` adds no special tokens. */
export interface TextCodec {
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** Ids that end an answer. */
  readonly endIds: readonly number[];
}
