import { lastBoxed, verify } from '@soft-tokens/metrics';

/** What an answer earned, and why. */
export interface Reward {
  reward: number;
  /** The answer equals the gold one. */
  correct: boolean;
  /** The answer stands in a closed \boxed{}. */
  boxed: boolean;
}

/** Judges the final answer's text, `\boxed{...}`, against the gold answer. */
export type RewardFunction = (answerText: string, gold: string) => Reward;

export interface BoxedRewardOptions {
  correct?: number;
  boxed?: number;
  otherwise?: number;
}

/**
 * The paper's reward, on the final answer only:
 *
 *   r = 100 if the boxed answer is correct, else 10 if there is a boxed answer, else 0
 *
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 11.
 * @example boxedReward()('\\boxed{1/2}', '0.5'); // { reward: 100, correct: true, boxed: true }
 */
export function boxedReward({ correct = 100, boxed = 10, otherwise = 0 }: BoxedRewardOptions = {}): RewardFunction {
  return (answerText, gold) => {
    const hasBox = lastBoxed(answerText) !== undefined;
    const isCorrect = hasBox && verify(answerText, gold).correct;
    return { reward: isCorrect ? correct : hasBox ? boxed : otherwise, correct: isCorrect, boxed: hasBox };
  };
}
