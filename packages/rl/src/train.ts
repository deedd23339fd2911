// The trainer. What it leaves out, as the paper does: no ratio or clipping, no length normalisation; one update a batch,
// strictly on-policy. What the paper leaves out too, and can be asked for: a KL term, division by the group's standard
// deviation, stopping early.
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
import type { Best, CheckpointStore, TrainingState } from './checkpoint.js';
import { accuracy, evaluate } from './evaluate.js';
import { disposeGradients, logRatios, policyGradient } from './gradients.js';
import { type KlPenalty, requireKl } from './kl.js';
import { disposeState, type Optimizer, type Parameters } from './optimizers.js';
import type { RewardFunction } from './rewards.js';
import {
  type AdvantageFunction,
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
  /** Of the rewards of one question's samples. Default `leaveOneOut`. */
  advantages?: AdvantageFunction | undefined;
  /** A penalty on leaving another policy; none unless said, as in the paper. */
  kl?: KlPenalty | undefined;
  optimizer: Optimizer;
  /** The learning rate of each update. */
  schedule: Schedule;
  /** Updates to make in all. */
  steps: number;
  /** Stop after so many validations on end that are not better than the best. The schedule stays that of all steps. */
  stopWhen?: { patience: number } | undefined;
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
  /** The mean divergence of a sequence from the penalty's reference, in nats, as the penalty estimates it. */
  kl?: number | undefined;
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
  | { type: 'checkpoint'; step: number; directory: string }
  | { type: 'stopped'; step: number; best: Best };

/**
 * Trains a policy by REINFORCE with a leave-one-out baseline, and tells what happens as it happens.
 *
 * A step: B questions, G samples each -> rewards -> advantages -> loss of equation 14 -> AdamW. Validation is greedy
 * before the first step, every `validateEvery` steps and after the last; the best of the trained models is kept as
 * `best`. A run that finds a checkpoint goes on from it to the same numbers that it would have reached uninterrupted; the
 * reference of `kl` is the caller's, and no checkpoint changes it.
 *
 * @throws RangeError without questions, for a patience below 1, or when a gradient is not finite; as `requireKl`; the
 * signal's reason when it aborts.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 3 and app. A, D.
 * @example for await (const event of train(options)) if (event.type === 'step') console.log(event.step, event.reward);
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, void, void> {
  const { model, optimizer, checkpoints, steps, kl } = options;
  const patience = options.stopWhen?.patience ?? Number.POSITIVE_INFINITY;
  if (!(patience >= 1)) throw new RangeError(`train: expected a patience >= 1, got ${patience}`);
  if (kl) requireKl(kl, options.sampler);
  for (const kind of ['trainQuestions', 'validationQuestions'] as const) {
    if (options[kind].length === 0) throw new RangeError(`train: ${kind}: expected at least one question, got none`);
  }
  const restored = await checkpoints.restore(model.parameters);
  const state: TrainingState = restored ?? {
    step: 0,
    optimizer: optimizer.init(model.parameters),
    best: null,
    validationsSinceBest: 0,
  };
  const isStopped = () => state.validationsSinceBest >= patience;
  try {
    if (restored) yield { type: 'resumed', step: state.step };
    else yield { type: 'validation', step: 0, ...(await validate(options)) };

    while (state.step < steps && !isStopped()) {
      const step = state.step + 1;
      yield await trainStep(options, state, step);
      state.step = step;

      if (step % options.validateEvery === 0 || step === steps) {
        const validation = await validate(options);
        yield { type: 'validation', step, ...validation };
        state.validationsSinceBest++;
        if (!state.best || validation.accuracy > state.best.accuracy) {
          state.best = { step, accuracy: validation.accuracy };
          state.validationsSinceBest = 0;
          yield { type: 'best', ...state.best, directory: await checkpoints.saveBest() };
        }
      }
      if (step % options.checkpointEvery === 0 || step === steps || isStopped()) {
        yield { type: 'checkpoint', step, directory: await checkpoints.save(state) };
      }
    }
    if (state.step < steps && state.best) yield { type: 'stopped', step: state.step, best: state.best };
  } finally {
    disposeState(state.optimizer);
  }
}

async function trainStep(options: TrainOptions, state: TrainingState, step: number): Promise<StepEvent> {
  const { model, sampler, text, seed, signal, kl } = options;
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

  const scoring = {
    model,
    sampler,
    sequences: samples,
    answerTemperature: options.answerTemperature,
    maxTokens: options.maxTokens,
    pause: pacer(signal),
  };
  const ratios = kl?.in === 'reward' ? await logRatios({ ...scoring, reference: kl.reference }) : undefined;
  const rewarded = ratios
    ? samples.map(({ reward }, n) => ({ reward: reward - kl!.coefficient * ratios[n]! }))
    : samples;
  const { loss, gradients, scored, ...update } = await policyGradient({
    ...scoring,
    parameters: model.parameters,
    advantages: groupAdvantages(rewarded, options.samples, options.advantages),
    kl,
    recompute: options.recompute,
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
    kl: ratios ? ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length : update.kl,
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
