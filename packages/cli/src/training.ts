// What supervised and reinforcement training share: a model to train, its optimiser, its log.
import { rmSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CausalLM,
  isLora,
  loadModelDirectory,
  noiseScaleOf,
  saveAdapter,
  saveModel,
  stateRms,
  type Tokenizer,
} from '@soft-tokens/models';
import {
  aboutMean,
  adamW,
  type CheckpointStore,
  checkpointStore,
  type KlPenalty,
  leaveOneOut,
  type Optimizer,
  type Schedule,
  standardized,
  warmupCosine,
} from '@soft-tokens/rl';
import { embeddingNoise, hiddenNoise, logitNoise, type Placement, topKNoise } from '@soft-tokens/samplers';
import { match } from 'ts-pattern';
import type { TrainConfig, TrainingNoiseConfig } from './config/recipe.js';

/** Optimiser keys of a recipe, with one learning rate. */
export interface OptimizerConfig {
  learningRate: number;
  warmup: number;
  floor: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
}

export function optimizerOf(config: OptimizerConfig, steps: number): { optimizer: Optimizer; schedule: Schedule } {
  const { learningRate: peak, warmup, floor, beta1, beta2, eps, weightDecay } = config;
  return {
    optimizer: adamW({ beta1, beta2, eps, weightDecay }),
    schedule: warmupCosine({ peak, warmup, total: steps, floor }),
  };
}

/** Where a trained model came from. */
export interface Origin {
  /** The directory or GGUF file of the model without adapters. */
  base: string;
  embeddingRms: number;
}

/** The checkpoints of a task, once what a kill left half-written is gone: of models, or of the adapters alone. */
export async function openCheckpoints(directory: string, model: CausalLM, origin: Origin): Promise<CheckpointStore> {
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    if (name.startsWith('.')) rmSync(join(directory, name), { recursive: true, force: true });
  }
  const { base, embeddingRms } = origin;
  return isLora(model)
    ? checkpointStore(directory, (into) => saveAdapter(model, into, { base }), { weights: 'adapter_model.safetensors' })
    : checkpointStore(directory, (into) => saveModel(model, into, { from: base, embeddingRms }));
}

/** A model with what is needed to prompt it. */
export interface Subject {
  model: CausalLM;
  tokenizer: Tokenizer;
  /** The root mean square of the entries of the embeddings that noise is measured in, as the stack is fed them. */
  embeddingRms: number;
}

/** The standard deviation of a recipe's noise, measured in the embedding that the model's training started from. */
export function sigmaOf(
  { model, embeddingRms }: Subject,
  { factor, scale }: { factor: number; scale: 'entry' | 'row' },
): number {
  return noiseScaleOf({ embeddingRms, hiddenSize: model.hiddenSize }, factor, scale);
}

/** How many prompts the size of hidden states and logits is measured over. */
const MEASURED_PROMPTS = 16;

/**
 * Where a recipe's training noise enters, and its standard deviation there: factor times the root mean square of what it
 * is added to, in the model that training starts from; see `embeddingRms` and `stateRms`.
 */
export function trainingNoiseOf(
  subject: Subject,
  noise: TrainingNoiseConfig,
  prompts: readonly (readonly number[])[],
): { placement: Placement; sigma: number } {
  const states = () => stateRms(subject.model, prompts.slice(0, MEASURED_PROMPTS));
  const { placement = 'embedding', factor } = noise;
  return match(placement)
    .returnType<{ placement: Placement; sigma: number }>()
    .with('embedding', () => ({ placement: embeddingNoise, sigma: sigmaOf(subject, noise) }))
    .with('hidden', () => ({ placement: hiddenNoise, sigma: factor * states().hidden }))
    .with('logits', () => ({ placement: logitNoise, sigma: factor * states().logits }))
    .with('topk', () => ({ placement: topKNoise(noise.k!), sigma: factor * states().logits })) // the recipe is checked for k
    .exhaustive();
}

/** Advantages by the names that recipes have for them. */
export const advantagesOf = {
  leaveOneOut,
  aboutMean,
  standardized: (rewards: readonly number[]) => standardized(rewards),
} as const satisfies Record<TrainConfig['advantage'], unknown>;

/**
 * A recipe's penalty, and how to free what it holds. Its reference is the model that training starts from, whatever the
 * checkpoint that it goes on from: the base that fresh adapters leave as it is, or else a copy, read again.
 */
export async function penaltyOf(
  { kl, lora, model }: Pick<TrainConfig, 'kl' | 'lora' | 'model'>,
  base: CausalLM,
): Promise<{ kl: KlPenalty | undefined; dispose: () => void }> {
  if (!kl) return { kl: undefined, dispose: () => {} };
  const reference = lora ? base : (await loadModelDirectory(model)).model;
  return {
    kl: { ...kl, reference } as KlPenalty, // the recipe is checked for the estimator
    dispose: () => {
      if (reference !== base) reference.dispose();
    },
  };
}
