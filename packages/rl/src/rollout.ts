// One rollout: a group of completions for each question, rewarded and compared within the group.
import { type Action, type Completion, type DecodeOptions, decode } from '@soft-tokens/samplers';
import { leaveOneOut } from './advantages.js';
import type { Reward, RewardFunction } from './rewards.js';

/** A question as the trainer sees it: ids in, the gold answer to check against. */
export interface Question {
  id: string;
  promptIds: readonly number[];
  answer: string;
}

/** A completion with what it earned. */
export interface Sample extends Completion, Reward {
  questionId: string;
}

export interface RolloutOptions<A extends Action> extends Omit<DecodeOptions<A>, 'prompts' | 'samples'> {
  questions: readonly Question[];
  /** G, completions a question. */
  samples: number;
  reward: RewardFunction;
}

/**
 * Completes every question G times and rewards each answer.
 *
 * - returns B G samples, grouped by question
 *
 * @example const samples = await rollout({ model, sampler, text, questions, samples: 32, reward: boxedReward(), ...caps, seed, step });
 */
export async function rollout<A extends Action>(options: RolloutOptions<A>): Promise<Sample[]> {
  const { questions, reward, ...decoding } = options;
  const completions = await decode({ ...decoding, prompts: questions.map(({ promptIds }) => promptIds) });
  return completions.map((completion) => {
    const { id, answer } = questions[completion.prompt]!;
    return { ...completion, ...reward(completion.answerText, answer), questionId: id };
  });
}

/** The advantages of one group of samples, in their order, from their rewards. */
export type AdvantageFunction = (rewards: readonly number[]) => number[];

/**
 * Advantages of samples that stand grouped by question, G each; leave-one-out ones unless said.
 *
 * @throws RangeError when the samples do not divide into groups of G.
 * @example groupAdvantages(samples, 32);
 */
export function groupAdvantages(
  samples: readonly Pick<Sample, 'reward'>[],
  G: number,
  advantages: AdvantageFunction = leaveOneOut,
): number[] {
  if (samples.length % G !== 0) {
    throw new RangeError(`groupAdvantages: expected a multiple of ${G} samples, got ${samples.length}`);
  }
  const all: number[] = [];
  for (let i = 0; i < samples.length; i += G) {
    all.push(...advantages(samples.slice(i, i + G).map(({ reward }) => reward)));
  }
  return all;
}

/** What a set of samples looks like on average. */
export interface SampleStatistics {
  reward: number;
  /** Shares of the samples, 0 to 1. */
  correct: number;
  boxed: number;
  /** Thoughts that ended by the stop phrase, not at the cap. */
  stopped: number;
  /** Mean lengths in tokens. */
  thoughtTokens: number;
  answerTokens: number;
}

/** Averages over samples. */
export function sampleStatistics(samples: readonly Sample[]): SampleStatistics {
  const mean = (value: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + value(sample), 0) / samples.length;
  return {
    reward: mean((sample) => sample.reward),
    correct: mean((sample) => Number(sample.correct)),
    boxed: mean((sample) => Number(sample.boxed)),
    stopped: mean((sample) => Number(sample.thoughtEnd === 'phrase')),
    thoughtTokens: mean((sample) => sample.shadowIds.length),
    answerTokens: mean((sample) => sample.answerIds.length),
  };
}
