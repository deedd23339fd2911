import { type Comparison, defaultComparisons } from './comparisons.js';
import { plainLatex } from './latex.js';

/** Longer answers do not vote: comparing them would cost more than they are worth. */
const answerLimit = 1000;

/** The most frequent answer. */
export interface Majority {
  /** As its first voter wrote it; undefined when no sample has an answer. */
  readonly answer: string | undefined;
  readonly votes: number;
}

/**
 * majority@k: the answer that most of the first k samples agree on; compare it with the gold answer by `verify`.
 *
 * Equal answers vote together however written (1/2 and 0.5). A sample without an answer, or with one of over 1,000
 * characters, does not vote. Among equally many votes the answer seen first wins.
 *
 * - `answers`: one extracted answer for each sample, in order, say from `lastBoxed`; undefined for none
 * - `k`: how many samples vote, 1..answers.length; default all
 *
 * Throws RangeError for k outside its range.
 *
 * Source: Wang et al. 2022, self-consistency, arXiv:2203.11171.
 *
 * @example majority(['3', '1/2', undefined, '0.5']) // { answer: '1/2', votes: 2 }
 */
export function majority(
  answers: readonly (string | undefined)[],
  k: number = answers.length,
  comparisons: readonly Comparison[] = defaultComparisons,
): Majority {
  if (!Number.isInteger(k) || k < 1 || k > answers.length) {
    throw new RangeError(`majority: expected k to be an integer in 1..${answers.length}, got ${k}`);
  }
  const groups: { answer: string; plain: string; votes: number }[] = [];
  for (const answer of answers.slice(0, k)) {
    if (answer === undefined || answer.length > answerLimit) continue;
    const plain = plainLatex(answer);
    if (plain === '') continue;
    const group = groups.find((g) => g.plain === plain || comparisons.some((c) => c.equal(answer, g.answer)));
    if (group) group.votes++;
    else groups.push({ answer, plain, votes: 1 });
  }
  const best = groups.reduce<Majority>((top, group) => (group.votes > top.votes ? group : top), {
    answer: undefined,
    votes: 0,
  });
  return { answer: best.answer, votes: best.votes };
}
