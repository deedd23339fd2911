// One model under one inference setting: pass@k over questions.
import { type PassAtKPoint, passAtKCurve } from '@soft-tokens/metrics';
import { boxedReward, evaluate, type Question, type QuestionResult } from '@soft-tokens/rl';
import { isDeterministic, type SettingName, samplerFor } from '@soft-tokens/samplers';
import type { Caps } from './config/recipe.js';
import type { Subject } from './training.js';

export interface EvaluationOptions {
  subject: Subject;
  /** σ of the noisy settings. */
  sigma: number;
  setting: SettingName;
  questions: readonly Question[];
  /** n of pass@k; greedy settings draw one, since all are the same. */
  samples: number;
  /** The k to report, at most `samples`. */
  k: readonly number[];
  caps: Caps;
  seed: number;
  signal: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** What came of a setting; the content of `eval/<setting>.json`. */
export interface SettingResult {
  setting: SettingName;
  samples: number;
  /** pass@k, 0 to 1, for each k asked for. */
  passAtK: PassAtKPoint[];
  /** Shares of the samples, 0 to 1, and mean tokens of a thought. */
  boxed: number;
  stopped: number;
  thoughtTokens: number;
  seconds: number;
  questions: QuestionResult[];
}

/**
 * Evaluates one setting. A question's samples depend on the seed, its place in the list and nothing else.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, sec. 4; pass@k: Chen et al. 2021, arXiv:2107.03374.
 */
export async function evaluateSetting(options: EvaluationOptions): Promise<SettingResult> {
  const { subject, sigma, setting, questions, caps, seed, signal } = options;
  const samples = isDeterministic(setting) ? 1 : options.samples;
  const started = performance.now();
  const sums = { boxed: 0, stopped: 0, thoughtTokens: 0 };
  const results = await evaluate({
    model: subject.model,
    text: subject.tokenizer,
    sampler: samplerFor(setting, sigma),
    questions,
    samples,
    reward: boxedReward(),
    maxThoughtTokens: caps.thought,
    maxAnswerTokens: caps.answer,
    seed,
    signal,
    onBatch: ({ done, total, samples: batch }) => {
      for (const sample of batch) {
        sums.boxed += Number(sample.boxed);
        sums.stopped += Number(sample.thoughtEnd === 'phrase');
        sums.thoughtTokens += sample.shadowIds.length;
      }
      options.onProgress?.(done, total);
    },
  });
  const n = questions.length * samples;
  const ks = samples === 1 ? [1] : options.k;
  return {
    setting,
    samples,
    passAtK: passAtKCurve(
      results.map(({ correct }) => correct),
      samples,
      ks,
    ),
    boxed: sums.boxed / n,
    stopped: sums.stopped / n,
    thoughtTokens: sums.thoughtTokens / n,
    seconds: (performance.now() - started) / 1000,
    questions: results,
  };
}
