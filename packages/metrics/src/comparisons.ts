import { plainAnswer } from './latex.js';
import { compare, type Finding, type Strictness } from './math/compare.js';
import { parse } from './math/parse.js';
import { parseNumber, type StatedNumber } from './numberText.js';
import { rationalEqual, rationalOver } from './rational.js';

/**
 * One sense in which two answers can be equal. `verify` asks the comparisons in order and the first that says yes
 * decides, so each must be sure: a comparison that cannot read an answer says no. Pure, and bounded for any text of
 * up to 1,000 characters.
 */
export interface Comparison {
  /** Completes "equal as ...". */
  readonly name: string;
  /** Both texts as they were written, without the text around them; neither is empty. */
  equal(answer: string, gold: string): boolean;
}

const hundred = { numerator: 100n, denominator: 1n };
const aboveOne = ({ value }: StatedNumber) => value.numerator > value.denominator;

/** p% is p/100; against a plain number it is also p, if p > 1: `50%` is 0.5 and 50, `0.5%` is not 0.5. */
function statedEqual(a: StatedNumber, b: StatedNumber): boolean {
  if (a.percent === b.percent) return rationalEqual(a.value, b.value);
  const [share, plain] = a.percent ? [a, b] : [b, a];
  return (
    rationalEqual(rationalOver(share.value, hundred)!, plain.value) ||
    (aboveOne(share) && rationalEqual(share.value, plain.value))
  );
}

/** The same number exactly: 0.5, 1/2 and `\frac{2}{4}`, but not 0.333 and 1/3. Percentages as in Math-Verify. */
export const asNumber: Comparison = {
  name: 'a number',
  equal(answer, gold) {
    const [a, b] = [parseNumber(plainAnswer(answer)), parseNumber(plainAnswer(gold))];
    return a !== undefined && b !== undefined && statedEqual(a, b);
  },
};

/** One spelling for text: no space but between words, no braces round one character, `(C)` as `C`. */
function spelling(text: string): string {
  return text
    .replace(/(?<![\p{L}\p{N}]) | (?![\p{L}\p{N}])/gu, '')
    .replace(/([\^_])\{([A-Za-z0-9])\}/g, '$1$2')
    .replace(/^\(([A-J])\)$/, '$1');
}

/** Words of which capitals make no other: three letters or more. */
const isPhrase = (text: string) => /^[\p{L}' -]{3,}$/u.test(text);

/** The letter of a choice that is written out, as in `(D) 5 apples`. */
const chosen = (text: string) => /^\(?([A-J])\)./.exec(text)?.[1];

/**
 * The same text, spelling apart; capitals count only in what is shorter than three letters. A number equals no text that is not one, so that `1, 200` (a list)
 * is not `1,200`; and NaN is no answer.
 */
export const asText: Comparison = {
  name: 'text',
  equal(answerText, goldText) {
    const [answer, gold] = [plainAnswer(answerText), plainAnswer(goldText)];
    if (/^[+-]? ?nan$/i.test(gold)) return false;
    if ((parseNumber(answer) === undefined) !== (parseNumber(gold) === undefined)) return false;
    const [given, wanted] = [spelling(answer), spelling(gold)];
    return (
      given === wanted || (isPhrase(wanted) && given.toLowerCase() === wanted.toLowerCase()) || chosen(given) === wanted
    );
  },
};

/** Of `expressionComparison`. */
export type ExpressionOptions = Partial<Strictness>;

const usual: Strictness = { digits: 6, strict: true, statementForSet: false };

/** Whether two texts say the same as formulas; `unknown` where one of them is none. */
export function compareTexts(answer: string, gold: string, strictness = usual): Finding {
  if (/^[+-]? ?nan$/i.test(gold.trim())) return 'different';
  const [a, b] = [parse(answer), parse(gold)];
  return a === undefined || b === undefined ? 'unknown' : compare(b, a, strictness);
}

/**
 * The same in mathematics: expressions by exact or bounded double-precision values at fixed points, decimals to so
 * many digits, sets in any order, tuples and matrices by entry, intervals by their brackets, equations and
 * inequalities up to a factor, `x = 5` as 5, ± as two answers, units apart.
 *
 * - `digits`: decimals after the point to which a decimal must agree, default 6
 * - `strict`: false lets names differ and a set answer for a tuple, default true
 * - `statementForSet`: lets 0 < x < 1 answer where (0, 1) was asked for, default false; the other way is always right
 */
export function expressionComparison(options: ExpressionOptions = {}): Comparison {
  const strictness = { ...usual, ...options };
  return {
    name: 'an expression',
    equal: (answer, gold) => compareTexts(answer, gold, strictness) === 'equal',
  };
}

/** What `verify` asks unless told otherwise, in order. */
export const defaultComparisons: readonly Comparison[] = [asNumber, asText, expressionComparison()];
