import { lastBoxed } from './boxed.js';
import { type Comparison, defaultComparisons } from './comparisons.js';
import { plainLatex } from './latex.js';

/** Longer answers are not compared. */
const answerLimit = 1000;

/** What `verify` found. */
export interface Verdict {
  readonly correct: boolean;
  /** The answer as it stands in the text, before any normalising; undefined when there is none. */
  readonly extracted: string | undefined;
  /** Why, for a reader: `equal as a number`, `different`, `no answer`, ... */
  readonly reason: string;
}

const anyBox = /\\(?:boxed|fbox)(?![a-zA-Z])/;

/** The last box; else, where no box was begun, the whole text. */
function extract(text: string): string | undefined {
  const boxed = lastBoxed(text);
  if (boxed !== undefined) return boxed;
  const whole = text.length > answerLimit || anyBox.test(text) ? '' : text.trim();
  return whole === '' ? undefined : whole;
}

/** `plainLatex`, out of a box that holds the whole text. */
function plainAnswer(text: string): string {
  const plain = plainLatex(text);
  const content = /^\\(?:boxed|fbox)\s*\{.*\}$/s.test(plain) ? lastBoxed(plain) : undefined;
  const wholeBox = content !== undefined && plain.replace(/^\\(?:boxed|fbox)\s*\{/, '') === `${content}}`;
  return wholeBox ? plainLatex(content) : plain;
}

/**
 * Whether a model's answer equals the gold answer.
 *
 * The answer is the last `\boxed{...}` of the text (see `lastBoxed`), or the whole text when it has no box. It and the
 * gold answer are brought to one spelling and compared in each sense of `comparisons` until one says that they are
 * equal. The defaults are exact: the same number (fractions and decimals as big integers, no rounding), then the same
 * text. They would sooner reject an equal answer than accept a different one: algebra, sets, intervals and units are
 * equal only as text. 50% equals 0.5 and 50.
 *
 * - `answerText`: anything a model wrote; cost is bounded, and answers over 1,000 characters are incorrect
 * - `gold`: an answer, bare or in one box (not a solution that ends in one)
 *
 * Throws RangeError when `gold` is empty or over 1,000 characters, which is a fault of the data set.
 *
 * Follows Hugging Face Math-Verify (github.com/huggingface/Math-Verify) in what counts as equal, as far as it goes.
 *
 * @example verify('The final answer is: \\boxed{\\frac{1}{2}}', '0.5')
 * // { correct: true, extracted: '\\frac{1}{2}', reason: 'equal as a number' }
 */
export function verify(
  answerText: string,
  gold: string,
  comparisons: readonly Comparison[] = defaultComparisons,
): Verdict {
  if (gold.length > answerLimit) {
    throw new RangeError(
      `verify: expected a gold answer of at most ${answerLimit} characters, got ${gold.length}; pass the answer, not the solution`,
    );
  }
  const wanted = plainAnswer(gold);
  if (wanted === '') {
    throw new RangeError(`verify: expected a gold answer, got ${JSON.stringify(gold)}; drop the question`);
  }
  const extracted = extract(answerText);
  if (extracted === undefined) return { correct: false, extracted, reason: 'no answer' };
  if (extracted.length > answerLimit) {
    return { correct: false, extracted, reason: `longer than ${answerLimit} characters` };
  }
  const answer = plainAnswer(extracted);
  if (answer === '') return { correct: false, extracted, reason: 'empty answer' };
  const sense = comparisons.find((comparison) => comparison.equal(answer, wanted));
  return { correct: sense !== undefined, extracted, reason: sense ? `equal as ${sense.name}` : 'different' };
}
