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
  /** Both texts as `plainLatex` leaves them, neither empty. */
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
    const a = parseNumber(answer);
    const b = parseNumber(gold);
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

/**
 * The same text, spelling apart; capitals count. A number equals no text that is not one, so that `1, 200` (a list)
 * is not `1,200`; and NaN is no answer.
 */
export const asText: Comparison = {
  name: 'text',
  equal(answer, gold) {
    if (/^[+-]? ?nan$/i.test(gold)) return false;
    if ((parseNumber(answer) === undefined) !== (parseNumber(gold) === undefined)) return false;
    return spelling(answer) === spelling(gold);
  },
};

/** What `verify` asks unless told otherwise, in order. */
export const defaultComparisons: readonly Comparison[] = [asNumber, asText];
