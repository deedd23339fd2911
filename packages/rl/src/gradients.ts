// Gradients of a loss over many sequences, micro-batch by micro-batch.
import type { LanguageModel } from '@soft-tokens/samplers';
import { leanTape } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { type KlPenalty, sequenceDivergence, sequenceLogRatio } from './kl.js';
import { reinforceLoss } from './losses.js';
import type { Gradients, Parameters } from './optimizers.js';
import {
  type RecordedSequence,
  type ScoreOptions,
  type Scores,
  score,
  sequenceLogProb,
  thoughtLength,
  withCaches,
} from './score.js';

/**
 * Splits indices of sequences into micro-batches that hold at most `maxTokens` positions: those of thought, prefill and
 * answer, padding included. The prompt's are not counted, though each row also holds their keys and values: with long
 * prompts, choose a smaller budget.
 *
 * Sequences of one prompt stay together, so that it is computed as rarely as may be; within a prompt, those of like
 * length stand together, so that little is padded. A sequence longer than the budget is a micro-batch of its own.
 *
 * @throws RangeError when `maxTokens` is not positive.
 * @example microBatches(sequences, 4096); // [[0, 3, 1], [2, 4], ...]
 */
export function microBatches(sequences: readonly RecordedSequence[], maxTokens: number): number[][] {
  if (!(maxTokens > 0)) throw new RangeError(`microBatches: expected maxTokens > 0, got ${maxTokens}`);
  const length = (i: number) => {
    const sequence = sequences[i]!;
    return thoughtLength(sequence) + sequence.prefillIds.length + sequence.answerIds.length;
  };
  const promptOrder = new Map<string, number>();
  const promptOf = sequences.map(({ promptIds }) => {
    const key = promptIds.join();
    if (!promptOrder.has(key)) promptOrder.set(key, promptOrder.size);
    return promptOrder.get(key)!;
  });
  const order = sequences
    .map((_, i) => i)
    .sort((i, j) => promptOf[i]! - promptOf[j]! || length(i) - length(j) || i - j);

  const batches: number[][] = [];
  let widest = 0;
  for (const i of order) {
    const batch = batches.at(-1);
    widest = Math.max(widest, length(i));
    if (batch && widest * (batch.length + 1) <= maxTokens) {
      batch.push(i);
    } else {
      batches.push([i]);
      widest = length(i);
    }
  }
  return batches;
}

/** The scores of a micro-batch's sequences, by the model and by the other one, where there is one. */
export interface MicroBatchScores {
  policy: Scores;
  reference: Scores | undefined;
}

export interface AccumulateOptions extends Omit<ScoreOptions, 'sequences'> {
  parameters: Parameters;
  sequences: readonly RecordedSequence[];
  /** The most positions a micro-batch holds, see `microBatches`. It changes speed and memory, and the result by rounding only. */
  maxTokens: number;
  /** The loss of a micro-batch; the losses of all add up to that of the batch. */
  loss: (sequenceLogProb: tf.Tensor1D, indices: readonly number[], scores: MicroBatchScores) => tf.Scalar;
  /** Another model to score the same sequences by, as constants, for a loss that compares. */
  reference?: LanguageModel | undefined;
  /** Called between micro-batches, to let the event loop run and to stop. */
  pause?: () => Promise<void>;
}

/**
 * Σ over micro-batches of the loss, and its gradient in every parameter; zero for a parameter that does not matter.
 *
 * The caller disposes the gradients.
 *
 * @example const { loss, gradients } = await accumulateGradients({ model, sampler, parameters, sequences, maxTokens, loss });
 */
export async function accumulateGradients({
  parameters,
  sequences,
  maxTokens,
  loss,
  reference,
  pause,
  ...scoring
}: AccumulateOptions): Promise<{ loss: number; gradients: Map<string, tf.Tensor> }> {
  const variables = [...parameters.values()];
  const gradients = new Map<string, tf.Tensor>();
  let total = 0;
  try {
    for (const indices of microBatches(sequences, maxTokens)) {
      await pause?.();
      const batch = indices.map((i) => sequences[i]!);
      const other = reference && scoresOf({ ...scoring, model: reference, sequences: batch });
      const { value, grads } = withCaches((own) => {
        try {
          return tf.variableGrads(
            () =>
              leanTape(() => {
                const policy = score({ ...scoring, sequences: batch }, own);
                return loss(sequenceLogProb(policy), indices, { policy, reference: other });
              }),
            variables,
          );
        } finally {
          if (other) tf.dispose([other.thought, other.answer, other.mean?.()].filter((x) => x !== undefined));
        }
      });
      total += value.dataSync()[0]!;
      value.dispose();
      for (const [name, variable] of parameters) {
        const gradient = grads[variable.name] ?? tf.zerosLike(variable);
        const sum = gradients.get(name);
        gradients.set(name, sum ? tf.add(sum, gradient) : gradient);
        if (sum) tf.dispose([sum, gradient]);
      }
    }
  } catch (error) {
    disposeGradients(gradients); // `pause` throws when it is told to stop
    throw error;
  }
  for (const [name, variable] of parameters) if (!gradients.has(name)) gradients.set(name, tf.zerosLike(variable));
  return { loss: total, gradients };
}

/** Scores as constants, the means computed; the caller disposes them. */
function scoresOf(options: ScoreOptions): Scores {
  const { mean, ...scores } = tf.tidy(() =>
    withCaches((own) => {
      const { thought, answer, mean } = score(options, own);
      return { thought, answer, ...(mean && { mean: mean() }) };
    }),
  );
  return { ...scores, ...(mean && { mean: () => mean }) };
}

/**
 * Σ_t log π - log π_ref of what was drawn in each sequence, in nats: the divergence as the reward counts it.
 *
 * @example const nats = await logRatios({ model, reference, sampler, sequences, maxTokens: 4096 });
 */
export async function logRatios({
  reference,
  sequences,
  maxTokens,
  pause,
  ...scoring
}: LogRatioOptions): Promise<number[]> {
  const nats = new Array<number>(sequences.length);
  for (const indices of microBatches(sequences, maxTokens)) {
    await pause?.();
    const batch = { ...scoring, sequences: indices.map((i) => sequences[i]!) };
    const values = tf.tidy(() =>
      withCaches((own) =>
        sequenceLogRatio(score(batch, own), score({ ...batch, model: reference }, own)).dataSync<'float32'>(),
      ),
    );
    indices.forEach((i, n) => {
      nats[i] = values[n]!;
    });
  }
  return nats;
}

export interface LogRatioOptions
  extends Pick<AccumulateOptions, 'model' | 'sampler' | 'sequences' | 'answerTemperature' | 'maxTokens' | 'pause'> {
  reference: LanguageModel;
}

export interface PolicyGradientOptions extends Omit<AccumulateOptions, 'loss' | 'reference'> {
  /** One advantage a sequence. */
  advantages: readonly number[];
  /** A penalty in the loss, over all sequences; one in the reward is already in the advantages. */
  kl?: KlPenalty | undefined;
}

/**
 * The policy gradient of a batch: the gradient of `reinforceLoss` over all its sequences, and of the divergence where it
 * is in the loss.
 *
 *   ∇L = -(1/N) Σ_n A_n ∇l_n + (β/N) Σ_n ∇D_n
 *
 * Sequences with advantage 0 count in N but, without a divergence, are not computed, since they add nothing.
 *
 * - returns also how many sequences were scored, and the mean D_n, nats
 *
 * @throws RangeError when advantages and sequences differ in number.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 14; `KlPenalty` for D.
 * @example const { loss, gradients } = await policyGradient({ model, sampler, parameters, sequences, advantages, maxTokens: 4096 });
 */
export async function policyGradient({ sequences, advantages, kl, ...options }: PolicyGradientOptions): Promise<{
  loss: number;
  gradients: Map<string, tf.Tensor>;
  scored: number;
  kl?: number | undefined;
}> {
  const N = sequences.length;
  if (N !== advantages.length) {
    throw new RangeError(`policyGradient: expected one advantage a sequence, got ${advantages.length} for ${N}`);
  }
  const penalty = kl?.in === 'loss' ? kl : undefined;
  const kept = advantages.flatMap((advantage, n) => (advantage === 0 && !penalty ? [] : [n]));
  let divergence = 0;
  const result = await accumulateGradients({
    ...options,
    reference: penalty?.reference,
    sequences: kept.map((n) => sequences[n]!),
    loss: (logProb, indices, { policy, reference }) => {
      const loss = reinforceLoss(
        logProb,
        indices.map((i) => advantages[kept[i]!]!),
        N,
      );
      if (!penalty || !reference) return loss;
      const mean = tf.div(tf.sum(sequenceDivergence(policy, reference, options.sampler, penalty.estimator ?? 'k3')), N);
      divergence += mean.dataSync<'float32'>()[0]!;
      return tf.add(loss, tf.mul(mean, penalty.coefficient));
    },
  });
  return { ...result, scored: kept.length, ...(penalty && { kl: divergence }) };
}

/** Frees gradients. */
export function disposeGradients(gradients: Gradients): void {
  for (const gradient of gradients.values()) gradient.dispose();
}
