// Gradients of a loss over many sequences, micro-batch by micro-batch.
import { leanTape } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { reinforceLoss } from './losses.js';
import type { Gradients, Parameters } from './optimizers.js';
import {
  type RecordedSequence,
  type ScoreOptions,
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

export interface AccumulateOptions extends Omit<ScoreOptions, 'sequences'> {
  parameters: Parameters;
  sequences: readonly RecordedSequence[];
  /** The most positions a micro-batch holds, see `microBatches`. It changes speed and memory, and the result by rounding only. */
  maxTokens: number;
  /** The loss of a micro-batch; the losses of all add up to that of the batch. */
  loss: (sequenceLogProb: tf.Tensor1D, indices: readonly number[]) => tf.Scalar;
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
      const { value, grads } = withCaches((own) =>
        tf.variableGrads(
          () => leanTape(() => loss(sequenceLogProb(score({ ...scoring, sequences: batch }, own)), indices)),
          variables,
        ),
      );
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

export interface PolicyGradientOptions extends Omit<AccumulateOptions, 'loss'> {
  /** One advantage a sequence. */
  advantages: readonly number[];
}

/**
 * The policy gradient of a batch: the gradient of `reinforceLoss` over all its sequences.
 *
 *   ∇L = -(1/N) Σ_n A_n ∇l_n
 *
 * Sequences with advantage 0 count in N but are not computed, since they add nothing.
 *
 * @throws RangeError when advantages and sequences differ in number.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 14.
 * @example const { loss, gradients } = await policyGradient({ model, sampler, parameters, sequences, advantages, maxTokens: 4096 });
 */
export async function policyGradient({
  sequences,
  advantages,
  ...options
}: PolicyGradientOptions): Promise<{ loss: number; gradients: Map<string, tf.Tensor>; scored: number }> {
  if (sequences.length !== advantages.length) {
    throw new RangeError(
      `policyGradient: expected one advantage a sequence, got ${advantages.length} for ${sequences.length}`,
    );
  }
  const kept = advantages.flatMap((advantage, n) => (advantage === 0 ? [] : [n]));
  const result = await accumulateGradients({
    ...options,
    sequences: kept.map((n) => sequences[n]!),
    loss: (logProb, indices) =>
      reinforceLoss(
        logProb,
        indices.map((i) => advantages[kept[i]!]!),
        sequences.length,
      ),
  });
  return { ...result, scored: kept.length };
}

/** Frees gradients. */
export function disposeGradients(gradients: Gradients): void {
  for (const gradient of gradients.values()) gradient.dispose();
}
