import { RowError } from './rows.js';
import { closingBrace, taughtSolution } from './solution.js';

/** One question with a checked answer. */
export interface Problem {
  /** Unique within its set, and the same in every run. */
  readonly id: string;
  readonly question: string;
  /** The answer alone, as text: `72`, `\frac{1}{2}`. */
  readonly answer: string;
  /**
   * Worked steps in the format that the model is taught, from right after `Assistant:` on, with its leading space:
   * ` 7+5=12. The final answer is: \boxed{12}`. See `splitSolution`.
   */
  readonly solution?: string;
  /** Difficulty; what a level means is the set's own business. */
  readonly level?: number;
}

/** Train, choose and report on disjoint problems. */
export type Split = 'train' | 'validation' | 'test';

/** What a loader found of a problem; a field that its row lacks is undefined. */
interface Found {
  readonly id: string;
  readonly question: string;
  readonly answer: string;
  /** As the set has it, the answer in it or not. */
  readonly worked?: string | null | undefined;
  readonly level?: number | undefined;
}

/**
 * A problem whose solution, where the set has worked text, is in the format of `splitSolution`.
 *
 * @throws RowError for an answer whose braces do not match: in a box nothing could equal it.
 */
export function toProblem({ id, question, answer, worked, level }: Found): Problem {
  if (closingBrace(`${answer}}`, 0) !== answer.length) {
    throw new RowError(`expected an answer whose braces match, got ${JSON.stringify(answer)}`);
  }
  const solution = worked?.trim() ? taughtSolution(worked, answer) : undefined;
  return {
    id,
    question,
    answer,
    ...(solution !== undefined && { solution }),
    ...(level !== undefined && { level }),
  };
}

/** `$\frac{1}{2}$` without the dollar signs of one formula that is the whole text. */
export function withoutDollars(answer: string): string {
  return /^\s*\$(?<formula>[^$]*[^$\\])\$\s*$/.exec(answer)?.groups?.formula ?? answer;
}
