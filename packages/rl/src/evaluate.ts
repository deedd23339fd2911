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
  extends Omit<RolloutOptions<A>, 'firstSample' | 'step' | 'answerTemperature' | 'observe'> {
  /** Rows decoded together. It changes speed and memory only. Default 256. */
  maxRows?: number;
  /** Called after each batch of questions, with its samples. */
  onBatch?: (progress: { done: number; total: number; samples: Sample[] }) => void;
}

/**
 * Draws `samples` completions of every question, answers greedy, and counts the correct ones.
 *
 * A question's samples depend on the seed and its index, not on `maxRows`.
 *
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4 (evaluation).
 * @example
 * const results = await evaluate({ model, sampler: samplerFor('soft-sample', sigma), text, questions, samples: 32, ...caps, seed: 0, reward });
 * passAtKCurve(results.map(({ correct }) => correct), 32);
 */
export async function evaluate<A extends Action>({
  questions,
  maxRows = 256,
  onBatch,
  ...options
}: EvaluateOptions<A>): Promise<QuestionResult[]> {
  const results: QuestionResult[] = [];
  const perBatch = Math.max(1, Math.floor(maxRows / options.samples));
  for (let begin = 0; begin < questions.length; begin += perBatch) {
    const batch: readonly Question[] = questions.slice(begin, begin + perBatch);
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
    onBatch?.({ done: results.length, total: questions.length, samples });
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
