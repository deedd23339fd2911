// The trainer. What it leaves out, as the paper does: no KL term, no ratio or clipping, no length normalisation, no
// division by the group's standard deviation; one update a batch, strictly on-policy.
import {
  type Action,
  type LanguageModel,
  pacer,
  type Sampler,
  type TextCodec,
  type ThoughtFormat,
} from '@soft-tokens/samplers';
import { globalNorm } from '@soft-tokens/tensor';
import { batch } from './batches.js';
import type { CheckpointStore, TrainingState } from './checkpoint.js';
import { accuracy, evaluate } from './evaluate.js';
import { disposeGradients, policyGradient } from './gradients.js';
import { disposeState, type Optimizer, type Parameters } from './optimizers.js';
import type { RewardFunction } from './rewards.js';
import {
  groupAdvantages,
  type Question,
  rollout,
  type Sample,
  type SampleStatistics,
  sampleStatistics,
} from './rollout.js';
import type { Schedule } from './schedules.js';
import { updateParameters } from './update.js';

/** The name of the input embedding E among a model's parameters. */
export const EMBEDDING_PARAMETER = 'model.embed_tokens.weight';

/** A language model whose parameters can be trained. */
export interface TrainableModel extends LanguageModel {
  readonly parameters: Parameters;
}

export interface TrainOptions {
  model: TrainableModel;
  text: TextCodec;
  /** Draws and scores the thoughts. */
  sampler: Sampler<Action>;
  /** Draws the thoughts of validation: the sampler's greedy form. */
  greedySampler: Sampler<Action>;
  trainQuestions: readonly Question[];
  validationQuestions: readonly Question[];
  reward: RewardFunction;
  optimizer: Optimizer;
  /** The learning rate of each update. */
  schedule: Schedule;
  /** Updates to make in all. */
  steps: number;
  /** B, questions a step, and G, samples a question. The paper: 2 and 32. */
  questionsPerStep: number;
  samples: number;
  maxThoughtTokens: number;
  maxAnswerTokens: number;
  answerTemperature: number;
  format?: ThoughtFormat;
  /** The most a gradient's global norm may be; larger ones are scaled down. */
  maxGradientNorm?: number | undefined;
  /** Positions a micro-batch holds at most, without the prompts'; see `microBatches`. */
  maxTokens: number;
  /** See `ScoreOptions`. */
  recompute?: boolean | undefined;
  /** Validate every so many steps, and at the end. */
  validateEvery: number;
  /** Save every so many steps, and at the end. */
  checkpointEvery: number;
  checkpoints: CheckpointStore;
  seed: number;
  signal?: AbortSignal | undefined;
}

export interface StepEvent extends SampleStatistics {
  type: 'step';
  step: number;
  loss: number;
  gradientNorm: number;
  /**
   * ‖g_E‖² / ‖g‖², 0 to 1: the input embedding's share of the squared gradient. `undefined` for a model without a
   * trainable `EMBEDDING_PARAMETER`, and where the gradient is 0.
   */
  embeddingGradientShare?: number | undefined;
  learningRate: number;
  /** Sequences with an advantage other than 0: the others were not scored. */
  scored: number;
  tokens: number;
  rolloutSeconds: number;
  updateSeconds: number;
  /** What the process holds in memory after the step, in MiB. */
  memoryMiB: number;
  /** The step's samples; not for the log. */
  samples: Sample[];
}

export type TrainEvent =
  | { type: 'resumed'; step: number }
  | StepEvent
  | { type: 'validation'; step: number; accuracy: number; questions: number }
  | { type: 'best'; step: number; accuracy: number; directory: string }
  | { type: 'checkpoint'; step: number; directory: string };

/**
 * Trains a policy by REINFORCE with a leave-one-out baseline, and tells what happens as it happens.
 *
 * A step: B questions, G samples each -> rewards -> advantages -> loss of equation 14 -> AdamW. Validation is greedy
 * before the first step, every `validateEvery` steps and after the last; the best of the trained models is kept as
 * `best`. A run that finds a checkpoint goes on from it to the same numbers that it would have reached uninterrupted.
 *
 * @throws RangeError without questions, or when a gradient is not finite; the signal's reason when it aborts.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 3 and app. A, D.
 * @example for await (const event of train(options)) if (event.type === 'step') console.log(event.step, event.reward);
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, void, void> {
  const { model, optimizer, checkpoints, steps } = options;
  for (const kind of ['trainQuestions', 'validationQuestions'] as const) {
    if (options[kind].length === 0) throw new RangeError(`train: ${kind}: expected at least one question, got none`);
  }
  const restored = await checkpoints.restore(model.parameters);
  const state: TrainingState = restored ?? { step: 0, optimizer: optimizer.init(model.parameters), best: null };
  try {
    if (restored) yield { type: 'resumed', step: state.step };
    else yield { type: 'validation', step: 0, ...(await validate(options)) };

    while (state.step < steps) {
      const step = state.step + 1;
      yield await trainStep(options, state, step);
      state.step = step;

      if (step % options.validateEvery === 0 || step === steps) {
        const validation = await validate(options);
        yield { type: 'validation', step, ...validation };
        if (!state.best || validation.accuracy > state.best.accuracy) {
          state.best = { step, accuracy: validation.accuracy };
          yield { type: 'best', ...state.best, directory: await checkpoints.saveBest() };
        }
      }
      if (step % options.checkpointEvery === 0 || step === steps) {
        yield { type: 'checkpoint', step, directory: await checkpoints.save(state) };
      }
    }
  } finally {
    disposeState(state.optimizer);
  }
}

async function trainStep(options: TrainOptions, state: TrainingState, step: number): Promise<StepEvent> {
  const { model, sampler, text, seed, signal } = options;
  const started = performance.now();
  const samples = await rollout({
    model,
    sampler,
    text,
    questions: batch(options.trainQuestions, { seed, step, size: options.questionsPerStep }),
    samples: options.samples,
    reward: options.reward,
    maxThoughtTokens: options.maxThoughtTokens,
    maxAnswerTokens: options.maxAnswerTokens,
    answerTemperature: options.answerTemperature,
    ...(options.format && { format: options.format }),
    seed,
    step,
    signal,
  });
  const rolledOut = performance.now();

  const { loss, gradients, scored } = await policyGradient({
    model,
    sampler,
    parameters: model.parameters,
    sequences: samples,
    advantages: groupAdvantages(samples, options.samples),
    answerTemperature: options.answerTemperature,
    maxTokens: options.maxTokens,
    recompute: options.recompute,
    pause: pacer(signal),
  });
  const learningRate = options.schedule(step);
  let gradientNorm: number;
  let embeddingGradientShare: number | undefined;
  try {
    const embeddingGradient = gradients.get(EMBEDDING_PARAMETER);
    const embeddingNorm = embeddingGradient && globalNorm([embeddingGradient]);
    gradientNorm = updateParameters({
      ...options,
      parameters: model.parameters,
      gradients,
      state: state.optimizer,
      learningRate,
    });
    if (embeddingNorm !== undefined && gradientNorm > 0) embeddingGradientShare = (embeddingNorm / gradientNorm) ** 2;
  } finally {
    disposeGradients(gradients);
  }

  const statistics = sampleStatistics(samples);
  return {
    type: 'step',
    step,
    ...statistics,
    loss,
    gradientNorm,
    embeddingGradientShare,
    learningRate,
    scored,
    tokens: Math.round((statistics.thoughtTokens + statistics.answerTokens) * samples.length),
    rolloutSeconds: (rolledOut - started) / 1000,
    updateSeconds: (performance.now() - rolledOut) / 1000,
    memoryMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
    samples,
  };
}

/** Greedy accuracy on the validation questions: greedy thought, greedy answer. */
async function validate(options: TrainOptions): Promise<{ accuracy: number; questions: number }> {
  const results = await evaluate({
    model: options.model,
    sampler: options.greedySampler,
    text: options.text,
    questions: options.validationQuestions,
    samples: 1,
    reward: options.reward,
    maxThoughtTokens: options.maxThoughtTokens,
    maxAnswerTokens: options.maxAnswerTokens,
    ...(options.format && { format: options.format }),
    seed: options.seed,
    signal: options.signal,
  });
  return { accuracy: accuracy(results), questions: results.length };
}
