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
