import type { Action } from '@soft-tokens/samplers';
import { type Question, type RolloutOptions, rollout, type Sample } from './rollout.js';

/** One question's samples, counted. */
export interface QuestionResult {
  id: string;
  /** n, samples drawn, and c, those that were correct: what pass@k is computed from. */
  samples: number;
  correct: number;
}

export interface EvaluateOptions<A extends Action>
  extends Omit<RolloutOptions<A>, 'firstSample' | 'step' | 'answerTemperature'> {
  /** Index of the first question to do, for an evaluation that goes on: those before it were done. Default 0. */
  from?: number;
  /** Rows decoded together. It changes speed and memory only. Default 256. */
  maxRows?: number;
  /** Called after each batch of questions, with its samples; `done` counts from the first question of all. */
  onBatch?: (progress: { done: number; total: number; samples: Sample[] }) => void;
}

/** Batches grow by this factor, from one question on, so that there is something to see at once. */
const GROWTH = 4;

/**
 * Draws `samples` completions of every question, answers greedy, and counts the correct ones.
 *
 * A question's samples depend on the seed and its index, not on `maxRows` or `from`.
 *
 * - returns one result for each question from `from` on
 *
 * @throws RangeError for a `from` outside 0..questions.length.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4 (evaluation).
 * @example
 * const results = await evaluate({ model, sampler: samplerFor('soft-sample', sigma), text, questions, samples: 32, ...caps, seed: 0, reward });
 * passAtKCurve(results.map(({ correct }) => correct), 32);
 */
export async function evaluate<A extends Action>({
  questions,
  from = 0,
  maxRows = 256,
  onBatch,
  ...options
}: EvaluateOptions<A>): Promise<QuestionResult[]> {
  if (!Number.isInteger(from) || from < 0 || from > questions.length) {
    throw new RangeError(`evaluate: expected from in 0..${questions.length}, got ${from}`);
  }
  const results: QuestionResult[] = [];
  const most = Math.max(1, Math.floor(maxRows / options.samples));
  for (let begin = from, size = 1; begin < questions.length; size = Math.min(most, GROWTH * size)) {
    const batch: readonly Question[] = questions.slice(begin, begin + size);
    const samples = await rollout({
      ...options,
      questions: batch,
      answerTemperature: 0,
      firstSample: begin * options.samples,
    });
    batch.forEach(({ id }, i) => {
      const own = samples.slice(i * options.samples, (i + 1) * options.samples);
      results.push({ id, samples: own.length, correct: own.filter((sample) => sample.correct).length });
    });
    begin += batch.length;
    onBatch?.({ done: begin, total: questions.length, samples });
  }
  return results;
}

/**
 * Σ correct / Σ samples, 0 to 1.
 *
 * @throws RangeError when there are no results.
 */
export function accuracy(results: readonly QuestionResult[]): number {
  if (results.length === 0) throw new RangeError('accuracy: expected at least one result, got none');
  const correct = results.reduce((sum, result) => sum + result.correct, 0);
  return correct / results.reduce((sum, result) => sum + result.samples, 0);
}
