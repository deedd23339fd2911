/** How likely a model finds one choice of a question. */
export interface ChoiceLikelihood {
  /** log p(choice | context) in nats: the sum over the choice's tokens, ≤ 0. */
  readonly logProb: number;
  /** How many tokens the choice has, ≥ 1. */
  readonly tokens: number;
  /** And how many characters, ≥ 1. */
  readonly characters: number;
}

/** How likely a model finds each choice of a question. */
export interface QuestionLikelihood {
  readonly id: string;
  /** Index of the right one, from 0. */
  readonly correct: number;
  readonly choices: readonly ChoiceLikelihood[];
}

/** What a set of choice questions comes to. */
export interface LikelihoodSummary {
  readonly questions: number;
  /** Share of the questions whose right choice is the likeliest. */
  readonly accuracy: number;
  /** The same by log-probability per character, which does not favour short choices. */
  readonly normalized: number;
  /** Nats per token of the right choices: their total over their tokens. */
  readonly nll: number;
}

/**
 * Accuracy and likelihood on questions with choices:
 *
 *   accuracy = mean [argmax_j l_j = correct],   normalized: of l_j / characters_j,   nll = -Σ l_correct / Σ tokens_correct
 *
 * with l_j = log p(choice_j | context). Among choices that are equally likely the first counts, as in numpy's argmax.
 *
 * Throws RangeError without questions, for a log-probability that is not finite or is positive, and for a number of
 * tokens or characters below 1.
 *
 * Source: lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness), `acc` and `acc_norm` of tasks of
 * type multiple_choice.
 *
 * @example likelihoodSummary([{ id: 'a', correct: 1, choices: [
 *   { logProb: -3, tokens: 2, characters: 4 }, { logProb: -4, tokens: 2, characters: 8 } ] }])
 * // { questions: 1, accuracy: 0, normalized: 1, nll: 2 }
 */
export function likelihoodSummary(questions: readonly QuestionLikelihood[]): LikelihoodSummary {
  if (questions.length === 0) {
    throw new RangeError('likelihoodSummary: expected at least one question, got an empty list');
  }
  questions.forEach(checkQuestion);
  const share = (value: (choice: ChoiceLikelihood) => number) =>
    questions.filter(({ choices, correct }) => firstLargest(choices.map(value)) === correct).length / questions.length;
  const right = questions.map(({ choices, correct }) => choices[correct]!);
  const total = (value: (choice: ChoiceLikelihood) => number) => right.reduce((sum, choice) => sum + value(choice), 0);
  return {
    questions: questions.length,
    accuracy: share(({ logProb }) => logProb),
    normalized: share(({ logProb, characters }) => logProb / characters),
    nll: -total(({ logProb }) => logProb) / total(({ tokens }) => tokens),
  };
}

function firstLargest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

function checkQuestion({ id, correct, choices }: QuestionLikelihood): void {
  const fail = (problem: string): never => {
    throw new RangeError(`likelihoodSummary: ${id}: expected ${problem}`);
  };
  if (!choices[correct]) fail(`correct to be the index of one of ${choices.length} choices, got ${correct}`);
  for (const { logProb, tokens, characters } of choices) {
    if (!(logProb <= 0 && logProb > Number.NEGATIVE_INFINITY)) fail(`finite log-probabilities <= 0, got ${logProb}`);
    if (!(tokens >= 1)) fail(`a token at least in each choice, got ${tokens}`);
    if (!(characters >= 1)) fail(`a character at least in each choice, got ${characters}`);
  }
}
