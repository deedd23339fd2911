import { asText, type Comparison, defaultComparisons } from './comparisons.js';
import { answerLimit, extractAnswer } from './extract.js';
import { plainAnswer } from './latex.js';

/** What `verify` found. */
export interface Verdict {
  readonly correct: boolean;
  /** The answer as it stands in the text, before any normalising; undefined when there is none. */
  readonly extracted: string | undefined;
  /** Why, for a reader: `equal as a number`, `different`, `no answer`, ... */
  readonly reason: string;
}

/**
 * Whether a model's answer equals the gold answer.
 *
 * The answer is what the text gives as its answer: the last `\boxed{...}` as a rule, see `extractAnswer`. It and the
 * gold answer are compared in each sense of `comparisons` until one says that they are equal. The defaults: the same
 * number exactly, the same text, the same expression (see `expressionComparison`). They would sooner reject an equal
 * answer than accept a different one. 50% equals 0.5 and 50.
 *
 * - `answerText`: anything a model wrote; cost is bounded, and answers over 1,000 characters are incorrect
 * - `gold`: an answer, bare, in a formula or in a box, or a solution that ends in one
 *
 * Throws RangeError when `gold` gives no answer or one over 1,000 characters, which is a fault of the data set.
 *
 * Follows Hugging Face Math-Verify (github.com/huggingface/Math-Verify) in what counts as equal.
 *
 * @example verify('The final answer is: \\boxed{\\frac{1}{2}}', '0.5')
 * // { correct: true, extracted: '\\frac{1}{2}', reason: 'equal as a number' }
 */
export function verify(
  answerText: string,
  gold: string,
  comparisons: readonly Comparison[] = defaultComparisons,
): Verdict {
  const wanted = goldAnswer(gold);
  const found = extractAnswer(answerText);
  if (found === undefined) return { correct: false, extracted: undefined, reason: 'no answer' };
  const extracted = found.text;
  if (extracted.length > answerLimit) {
    return { correct: false, extracted, reason: `longer than ${answerLimit} characters` };
  }
  if (plainAnswer(extracted) === '') return { correct: false, extracted, reason: 'empty answer' };
  for (const reading of [extracted, ...found.others]) {
    const sense = comparisons.find((comparison) => comparison.equal(reading, wanted));
    if (sense !== undefined) return { correct: true, extracted: reading, reason: `equal as ${sense.name}` };
  }
  // a gold answer of prose with formulas is also itself
  const prose = gold.length <= answerLimit && asText.equal(extracted, gold);
  if (prose && comparisons.includes(asText)) return { correct: true, extracted, reason: 'equal as text' };
  return { correct: false, extracted, reason: 'different' };
}

/** The answer that a gold text gives. */
export function goldAnswer(gold: string): string {
  const found = extractAnswer(gold)?.text ?? gold;
  if (found.length > answerLimit) {
    throw new RangeError(
      `verify: expected a gold answer of at most ${answerLimit} characters, got ${found.length}; pass the answer, not the solution`,
    );
  }
  if (plainAnswer(found) === '') {
    throw new RangeError(`verify: expected a gold answer, got ${JSON.stringify(gold)}; drop the question`);
  }
  return found;
}
